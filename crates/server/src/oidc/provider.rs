//! Requests to the provider.

use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use openidconnect::core::{
    CoreClient, CoreClientAuthMethod, CoreErrorResponseType, CoreJwsSigningAlgorithm, CoreResponseType,
    CoreTokenResponse,
};
use openidconnect::{
    AsyncHttpClient, AuthType, AuthenticationFlow, AuthorizationCode, ClaimsVerificationError, ClientId,
    ClientSecret, CsrfToken, DiscoveryError, EndpointMaybeSet, EndpointNotSet, EndpointSet, HttpRequest,
    HttpResponse, Nonce, OAuth2TokenResponse as _, PkceCodeChallenge, PkceCodeVerifier, RedirectUrl,
    RequestTokenError, Scope, SignatureVerificationError, TokenResponse as _,
};
use reqwest::header;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tracing::info;

use super::config::OidcConfig;

/// How long one request to the provider may take; a person waits for three of them.
const REQUEST_MAX: Duration = Duration::from_secs(10);
/// Bytes of an answer of the provider. Sets of keys and user info are some kilobytes.
const ANSWER_BYTES_MAX: usize = 1024 * 1024;
/// How long what the provider says of itself is believed without asking again.
const DISCOVERY_AGE_MAX: Duration = Duration::from_secs(10 * 60);

/// What providers add to their description, as far as it matters here.
#[derive(Debug, Clone, Deserialize, Serialize)]
struct Additional {
    /// RFC 9207: the callback names the issuer.
    #[serde(default)]
    authorization_response_iss_parameter_supported: bool,
}

impl openidconnect::AdditionalProviderMetadata for Additional {}

type Metadata = openidconnect::ProviderMetadata<
    Additional,
    openidconnect::core::CoreAuthDisplay,
    CoreClientAuthMethod,
    openidconnect::core::CoreClaimName,
    openidconnect::core::CoreClaimType,
    openidconnect::core::CoreGrantType,
    openidconnect::core::CoreJweContentEncryptionAlgorithm,
    openidconnect::core::CoreJweKeyManagementAlgorithm,
    openidconnect::core::CoreJsonWebKey,
    openidconnect::core::CoreResponseMode,
    CoreResponseType,
    openidconnect::core::CoreSubjectIdentifierType,
>;

type ReadyClient = CoreClient<
    EndpointSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointNotSet,
    EndpointMaybeSet,
    EndpointMaybeSet,
>;

/// Why a log-in by the provider did not succeed. For the operator's log: no codes, tokens or personal data.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OidcError {
    /// The provider was not reached, or its answer broke off.
    #[error("the provider cannot be reached ({what}): {cause}")]
    Unreachable { what: &'static str, cause: String },
    /// The provider's answer is not what the protocol asks for.
    #[error("the provider's answer cannot be used ({what}): {cause}")]
    BadAnswer { what: &'static str, cause: String },
    /// The provider said no.
    #[error("the provider refused ({what}): {code}")]
    Refused { what: &'static str, code: &'static str },
    /// The ID token is not what it should be.
    #[error("the ID token is refused: {0}")]
    BadIdToken(String),
    /// The callback names another issuer, or none although the provider always does.
    #[error("the callback is of another issuer than the configured one")]
    WrongIssuer,
    /// The user info is somebody else's.
    #[error("the user info is of another subject than the ID token")]
    WrongSubject,
}

/// What a log-in under way must not show to anyone: what the engine keeps of it.
pub(crate) struct Secrets<'s> {
    /// Comes back in the callback.
    pub(crate) state: &'s str,
    /// Comes back in the ID token.
    pub(crate) nonce: &'s str,
    /// Shown when the code is exchanged.
    pub(crate) verifier: &'s str,
}

/// What the provider says about who logged in.
#[derive(Debug)]
pub(crate) struct Identity {
    /// Who, at this issuer, for good.
    pub(crate) subject: String,
    /// The user info.
    pub(crate) claims: Map<String, Value>,
}

/// Asks the provider. Shared by all requests.
#[derive(Debug, Default)]
pub(crate) struct Provider {
    http: Http,
    /// The newest description and keys. Held while they are fetched, so that many log-ins at once ask once.
    described: Mutex<Option<Described>>,
}

#[derive(Debug, Clone)]
struct Described {
    issuer: String,
    at: Instant,
    metadata: Arc<Metadata>,
}

/// An error of the HTTP client in words, without the address: it may hold a code.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct HttpError(String);

impl From<reqwest::Error> for HttpError {
    fn from(error: reqwest::Error) -> HttpError {
        let error = error.without_url();
        let causes = std::iter::successors(std::error::Error::source(&error), |cause| cause.source());
        let last = causes.last().map(ToString::to_string);
        HttpError(last.unwrap_or_else(|| error.to_string()))
    }
}

impl Provider {
    /// Address at the provider to which the browser goes.
    pub(crate) async fn authorization_url(
        &self,
        config: &OidcConfig,
        redirect: &RedirectUrl,
        secrets: &Secrets<'_>,
    ) -> Result<String, OidcError> {
        let described = self.describe(config, None).await?;
        let client = client(config, &described.metadata, redirect);
        let verifier = PkceCodeVerifier::new(secrets.verifier.to_owned());
        let (state, nonce) = (CsrfToken::new(secrets.state.to_owned()), Nonce::new(secrets.nonce.to_owned()));
        let flow = AuthenticationFlow::<CoreResponseType>::AuthorizationCode;
        let request = client
            .authorize_url(flow, || state, || nonce)
            .add_scopes(
                config.options.scopes.iter().filter(|scope| *scope != "openid").cloned().map(Scope::new),
            )
            .set_pkce_challenge(PkceCodeChallenge::from_code_verifier_sha256(&verifier));
        Ok(request.url().0.to_string())
    }

    /// Checks the issuer that a callback names (RFC 9207): another provider's answer must not pass for this one's.
    pub(crate) async fn check_issuer(
        &self,
        config: &OidcConfig,
        named: Option<&str>,
    ) -> Result<(), OidcError> {
        let described = self.describe(config, None).await?;
        let must_be_named =
            described.metadata.additional_metadata().authorization_response_iss_parameter_supported;
        match named {
            Some(named) if named == config.issuer.as_str() => Ok(()),
            None if !must_be_named => Ok(()),
            _ => Err(OidcError::WrongIssuer),
        }
    }

    /// Exchanges the code, checks the ID token and reads the user info.
    pub(crate) async fn identify(
        &self,
        config: &OidcConfig,
        redirect: &RedirectUrl,
        secrets: &Secrets<'_>,
        code: String,
    ) -> Result<Identity, OidcError> {
        let mut described = self.describe(config, None).await?;
        let tokens = self.exchange(config, &described.metadata, redirect, secrets, code).await?;
        let nonce = Nonce::new(secrets.nonce.to_owned());
        let mut verified = verify(config, &described.metadata, redirect, &tokens, &nonce);
        if let Err(ClaimsVerificationError::SignatureVerification(
            SignatureVerificationError::NoMatchingKey,
        )) = verified
        {
            // The provider has new keys. Asked for once: a key that is still unknown is refused.
            info!("the ID token is signed with an unknown key; the provider's keys are read again");
            described = self.describe(config, Some(described.at)).await?;
            verified = verify(config, &described.metadata, redirect, &tokens, &nonce);
        }
        let subject = verified.map_err(|error| OidcError::BadIdToken(words(&error)))?;
        let claims = self.user_info(&described.metadata, &tokens, &subject).await?;
        Ok(Identity { subject, claims })
    }

    /// The provider's description of itself and its keys; fetched if there are none, they are old, or are those that were
    /// fetched at `outdated`.
    async fn describe(&self, config: &OidcConfig, outdated: Option<Instant>) -> Result<Described, OidcError> {
        let mut described = self.described.lock().await;
        if let Some(known) = described.as_ref()
            && known.issuer == config.issuer.as_str()
            && known.at.elapsed() < DISCOVERY_AGE_MAX
            && Some(known.at) != outdated
        {
            return Ok(known.clone());
        }
        let what = "discovery";
        let metadata = Metadata::discover_async(config.issuer.to_url(), &self.http).await.map_err(
            |error| match error {
                DiscoveryError::Request(error) => OidcError::Unreachable { what, cause: error.to_string() },
                other => OidcError::BadAnswer { what, cause: chain(&other) },
            },
        )?;
        let issuer = config.issuer.as_str().to_owned();
        let fresh = Described { issuer, at: Instant::now(), metadata: Arc::new(metadata) };
        *described = Some(fresh.clone());
        Ok(fresh)
    }

    async fn exchange(
        &self,
        config: &OidcConfig,
        metadata: &Metadata,
        redirect: &RedirectUrl,
        secrets: &Secrets<'_>,
        code: String,
    ) -> Result<CoreTokenResponse, OidcError> {
        let what = "exchange of the code";
        let client = client(config, metadata, redirect);
        let request = client
            .exchange_code(AuthorizationCode::new(code))
            .map_err(|_| OidcError::BadAnswer { what, cause: "it names no token endpoint".to_owned() })?
            .set_pkce_verifier(PkceCodeVerifier::new(secrets.verifier.to_owned()));
        request.request_async(&self.http).await.map_err(|error| match error {
            // Its description may hold anything, so only known codes are told.
            RequestTokenError::ServerResponse(answer) => {
                OidcError::Refused { what, code: error_code(answer.error()) }
            }
            RequestTokenError::Request(error) => OidcError::Unreachable { what, cause: error.to_string() },
            RequestTokenError::Parse(error, _) => {
                OidcError::BadAnswer { what, cause: format!("at `{}`", error.path()) }
            }
            RequestTokenError::Other(_) => {
                OidcError::BadAnswer { what, cause: "no token response".to_owned() }
            }
        })
    }

    async fn user_info(
        &self,
        metadata: &Metadata,
        tokens: &CoreTokenResponse,
        subject: &str,
    ) -> Result<Map<String, Value>, OidcError> {
        let what = "user info";
        let bad = |cause: &str| OidcError::BadAnswer { what, cause: cause.to_owned() };
        let endpoint = metadata.userinfo_endpoint().ok_or_else(|| bad("it names no user info endpoint"))?;
        let answer = async {
            let request = self.http.client()?.get(endpoint.url().clone());
            let request = request.bearer_auth(tokens.access_token().secret());
            self.http.answer(request.header(header::ACCEPT, "application/json").build()?).await
        };
        let answer = answer.await;
        let answer =
            answer.map_err(|error: HttpError| OidcError::Unreachable { what, cause: error.to_string() })?;
        if !answer.status().is_success() {
            return Err(bad(&format!("status {}", answer.status().as_u16())));
        }
        let claims: Map<String, Value> =
            serde_json::from_slice(answer.body()).map_err(|_| bad("it is no JSON object"))?;
        if claims.get("sub").and_then(Value::as_str) != Some(subject) {
            return Err(OidcError::WrongSubject);
        }
        Ok(claims)
    }
}

/// Sends what the library asks for. Made when it is first needed: it reads the system's certificate authorities, which a
/// machine without OIDC need not have.
#[derive(Debug, Default)]
struct Http(OnceLock<reqwest::Client>);

impl<'c> AsyncHttpClient<'c> for Http {
    type Error = HttpError;
    type Future = Pin<Box<dyn Future<Output = Result<HttpResponse, HttpError>> + Send + 'c>>;

    fn call(&'c self, request: HttpRequest) -> Self::Future {
        Box::pin(async move { self.answer(request.try_into()?).await })
    }
}

impl Http {
    fn client(&self) -> Result<&reqwest::Client, HttpError> {
        if let Some(client) = self.0.get() {
            return Ok(client);
        }
        // Another part of the program may have chosen a provider already; then that one serves.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let client = reqwest::Client::builder()
            // Followed, a redirect would carry codes and secrets to wherever it points.
            .redirect(reqwest::redirect::Policy::none())
            .timeout(REQUEST_MAX)
            .user_agent(concat!("annals/", env!("CARGO_PKG_VERSION")))
            .build()?;
        Ok(self.0.get_or_init(|| client))
    }

    async fn answer(&self, request: reqwest::Request) -> Result<HttpResponse, HttpError> {
        let mut response = self.client()?.execute(request).await?;
        let mut answer = HttpResponse::default();
        *answer.status_mut() = response.status();
        *answer.headers_mut() = std::mem::take(response.headers_mut());
        while let Some(piece) = response.chunk().await? {
            if answer.body().len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(HttpError(format!("its answer has more than {ANSWER_BYTES_MAX} bytes")));
            }
            answer.body_mut().extend_from_slice(&piece);
        }
        Ok(answer)
    }
}

fn client(config: &OidcConfig, metadata: &Metadata, redirect: &RedirectUrl) -> ReadyClient {
    let id = ClientId::new(config.options.client_id.clone());
    let secret = config.options.client_secret.clone().map(ClientSecret::new);
    let client = CoreClient::from_provider_metadata(metadata.clone(), id, secret);
    let methods = metadata.token_endpoint_auth_methods_supported();
    let takes = |method| methods.is_some_and(|methods| methods.contains(&method));
    let is_post_only =
        takes(CoreClientAuthMethod::ClientSecretPost) && !takes(CoreClientAuthMethod::ClientSecretBasic);
    let auth_type = if is_post_only { AuthType::RequestBody } else { AuthType::BasicAuth };
    client.set_redirect_uri(redirect.clone()).set_auth_type(auth_type)
}

/// Checks the ID token and returns its subject.
fn verify(
    config: &OidcConfig,
    metadata: &Metadata,
    redirect: &RedirectUrl,
    tokens: &CoreTokenResponse,
    nonce: &Nonce,
) -> Result<String, ClaimsVerificationError> {
    let client = client(config, metadata, redirect);
    // Signed with the provider's private key. A signature by the client secret would let everyone who knows it log in as
    // anyone, and "none" everyone at all.
    let algorithms = metadata.id_token_signing_alg_values_supported().iter().filter(|algorithm| {
        use CoreJwsSigningAlgorithm as A;
        !matches!(algorithm, A::HmacSha256 | A::HmacSha384 | A::HmacSha512 | A::None)
    });
    let verifier = client.id_token_verifier().set_allowed_algs(algorithms.cloned());
    let token =
        tokens.id_token().ok_or_else(|| ClaimsVerificationError::Other("there is none".to_owned()))?;
    let claims = token.claims(&verifier, nonce)?;
    Ok(claims.subject().as_str().to_owned())
}

/// What is wrong with an ID token, without what it says of a person.
fn words(error: &ClaimsVerificationError) -> String {
    match error {
        ClaimsVerificationError::InvalidSubject(_) => "wrong subject".to_owned(),
        ClaimsVerificationError::SignatureVerification(cause) => cause.to_string(),
        other => other.to_string(),
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

fn error_code(code: &CoreErrorResponseType) -> &'static str {
    match code {
        CoreErrorResponseType::InvalidClient => "invalid_client: client id or secret are wrong",
        CoreErrorResponseType::InvalidGrant => "invalid_grant: the code is wrong, used or too old",
        CoreErrorResponseType::InvalidRequest => "invalid_request",
        CoreErrorResponseType::InvalidScope => "invalid_scope",
        CoreErrorResponseType::UnauthorizedClient => "unauthorized_client",
        CoreErrorResponseType::UnsupportedGrantType => "unsupported_grant_type",
        CoreErrorResponseType::Extension(_) => "another error",
    }
}
