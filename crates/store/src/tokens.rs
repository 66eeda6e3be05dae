//! API tokens: hashed, shown once.

use annals_model::time::Time;

use crate::connection::Connection;
use crate::error::StoreError;
use crate::people::PersonId;
use crate::store::Store;
use crate::value::{Row, Value};

/// Identity of a token: the text of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenId(pub String);

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Sends events and registers types; reads nothing.
    Ingest,
    /// Reads `/metrics`, nothing else.
    Metrics,
    /// Reads with the sight of its owner; sends nothing.
    Read,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [TokenKind; 3] = [TokenKind::Ingest, TokenKind::Metrics, TokenKind::Read];

    /// Name in the API, the command line and the database.
    pub const fn name(self) -> &'static str {
        match self {
            TokenKind::Ingest => "ingest",
            TokenKind::Metrics => "metrics",
            TokenKind::Read => "read",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<TokenKind> {
        TokenKind::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A token as the database keeps it.
#[derive(Debug, Clone)]
pub struct Token {
    /// Identity.
    pub id: TokenId,
    /// SHA-256 of the secret.
    pub secret_hash: [u8; 32],
    /// What it is good for.
    pub kind: TokenKind,
    /// What people call it.
    pub name: String,
    /// Whose sight it has; none: a site manager's.
    pub owner: Option<PersonId>,
    /// When it was made.
    pub created: Time,
    /// When it ends to be good for anything; none: never.
    pub expires: Option<Time>,
    /// When it was last used, to the minute.
    pub last_used: Option<Time>,
}

impl Token {
    /// It has ended by itself.
    pub fn is_expired(&self, now: Time) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }
}

/// None if this version does not know the kind: such a token is good for nothing.
fn token(row: Row<'_>) -> Result<Option<Token>, StoreError> {
    let Some(kind) = TokenKind::from_name(&row.text(2)?) else { return Ok(None) };
    Ok(Some(Token {
        id: TokenId(row.text(0)?),
        secret_hash: row.array(1, "token.secret_hash")?,
        kind,
        name: row.text(3)?,
        owner: row.optional_text(4)?.map(PersonId),
        created: Time::from_micros_saturating(row.int(5)?),
        expires: row.optional_int(6)?.map(Time::from_micros_saturating),
        last_used: row.optional_int(7)?.map(Time::from_micros_saturating),
    }))
}

const COLUMNS: &str = "id, secret_hash, kind, name, owner_id, created_us, expires_us, last_used_us";

/// The tokens of a person that are not revoked, newest first.
pub(crate) fn tokens_of(connection: &mut Connection, owner: &PersonId) -> Result<Vec<Token>, StoreError> {
    let sql = format!(
        "SELECT {COLUMNS} FROM token WHERE owner_id = $1 AND revoked_us IS NULL ORDER BY created_us DESC, id"
    );
    Ok(connection.query_all(&sql, &[Value::Text(&owner.0)], token)?.into_iter().flatten().collect())
}

impl Store {
    /// Keeps a token.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        self.write(|connection| {
            connection.execute(
                "INSERT INTO token (id, secret_hash, kind, name, owner_id, created_us, expires_us)
                 VALUES ($1, $2, $3, $4, $5, $6, $7)",
                &[
                    Value::Text(&token.id.0),
                    Value::Bytes(&token.secret_hash),
                    Value::Text(token.kind.name()),
                    Value::Text(&token.name),
                    Value::optional_text(token.owner.as_ref().map(|owner| owner.0.as_str())),
                    Value::Int(token.created.as_micros()),
                    Value::optional_int(token.expires.map(Time::as_micros)),
                ],
            )?;
            Ok(())
        })
    }

    /// Finds a token that is not revoked by the hash of its secret; it may have expired.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn token_by_hash(&self, secret_hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM token WHERE secret_hash = $1 AND revoked_us IS NULL");
            Ok(connection.query_optional(&sql, &[Value::Bytes(secret_hash)], token)?.flatten())
        })
    }

    /// Lists the tokens that are not revoked, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.read(|connection| {
            let sql =
                format!("SELECT {COLUMNS} FROM token WHERE revoked_us IS NULL ORDER BY created_us DESC, id");
            Ok(connection.query_all(&sql, &[], token)?.into_iter().flatten().collect())
        })
    }

    /// Lists the tokens of a person that are not revoked, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn tokens_of(&self, owner: &PersonId) -> Result<Vec<Token>, StoreError> {
        self.read(|connection| tokens_of(connection, owner))
    }

    /// Notes that a token was used.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn touch_token(&self, id: &TokenId, now: Time) -> Result<(), StoreError> {
        self.write(|connection| {
            let sql = "UPDATE token SET last_used_us = $1 WHERE id = $2";
            connection.execute(sql, &[Value::Int(now.as_micros()), Value::Text(&id.0)])?;
            Ok(())
        })
    }

    /// Revokes a token; returns false if there is none of that id, or it is revoked already.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn revoke_token(&self, id: &TokenId, now: Time) -> Result<bool, StoreError> {
        self.write(|connection| {
            let revoked = connection.execute(
                "UPDATE token SET revoked_us = $1 WHERE id = $2 AND revoked_us IS NULL",
                &[Value::Int(now.as_micros()), Value::Text(&id.0)],
            )?;
            Ok(revoked == 1)
        })
    }
}
