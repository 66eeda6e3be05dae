//! API tokens: hashed, shown once.

use annals_model::time::Time;
use rusqlite::{OptionalExtension, Row, params};

use crate::error::StoreError;
use crate::people::PersonId;
use crate::sqlite::Store;

/// Identity of a token: the text of a UUID.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct TokenId(pub String);

/// What a token is good for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum TokenKind {
    /// Sends events and registers types; reads nothing.
    Ingest,
    /// Reads with the sight of its owner; sends nothing.
    Read,
}

impl TokenKind {
    /// Name in the API, the command line and the database.
    pub const fn name(self) -> &'static str {
        match self {
            TokenKind::Ingest => "ingest",
            TokenKind::Read => "read",
        }
    }

    /// Reads a name.
    pub fn from_name(name: &str) -> Option<TokenKind> {
        [TokenKind::Ingest, TokenKind::Read].into_iter().find(|kind| kind.name() == name)
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
}

fn token(row: &Row<'_>) -> rusqlite::Result<Option<Token>> {
    let kind: String = row.get(2)?;
    let Some(kind) = TokenKind::from_name(&kind) else { return Ok(None) };
    Ok(Some(Token {
        id: TokenId(row.get(0)?),
        secret_hash: row.get(1)?,
        kind,
        name: row.get(3)?,
        owner: row.get::<_, Option<String>>(4)?.map(PersonId),
        created: Time::from_micros_saturating(row.get(5)?),
    }))
}

const COLUMNS: &str = "id, secret_hash, kind, name, owner_id, created_us";

impl Store {
    /// Keeps a token.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn add_token(&self, token: &Token) -> Result<(), StoreError> {
        self.with(|connection| {
            connection.execute(
                "INSERT INTO token (id, secret_hash, kind, name, owner_id, created_us) VALUES (?, ?, ?, ?, ?, ?)",
                params![
                    token.id.0,
                    token.secret_hash,
                    token.kind.name(),
                    token.name,
                    token.owner.as_ref().map(|owner| &owner.0),
                    token.created.as_micros()
                ],
            )?;
            Ok(())
        })
    }

    /// Finds a token that is not revoked by the hash of its secret.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn token_by_hash(&self, secret_hash: &[u8; 32]) -> Result<Option<Token>, StoreError> {
        self.with(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM token WHERE secret_hash = ? AND revoked_us IS NULL");
            let mut select = connection.prepare_cached(&sql)?;
            Ok(select.query_row(params![secret_hash], token).optional()?.flatten())
        })
    }

    /// Lists the tokens that are not revoked, newest first.
    ///
    /// # Errors
    /// [`StoreError`] if the table cannot be read.
    pub fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.with(|connection| {
            let sql =
                format!("SELECT {COLUMNS} FROM token WHERE revoked_us IS NULL ORDER BY created_us DESC, id");
            let mut select = connection.prepare(&sql)?;
            let tokens = select.query_map([], token)?.collect::<rusqlite::Result<Vec<_>>>()?;
            Ok(tokens.into_iter().flatten().collect())
        })
    }

    /// Revokes a token; returns false if there is none of that id, or it is revoked already.
    ///
    /// # Errors
    /// [`StoreError`] if it cannot be written.
    pub fn revoke_token(&self, id: &TokenId, now: Time) -> Result<bool, StoreError> {
        self.with(|connection| {
            let revoked = connection.execute(
                "UPDATE token SET revoked_us = ? WHERE id = ? AND revoked_us IS NULL",
                params![now.as_micros(), id.0],
            )?;
            Ok(revoked == 1)
        })
    }
}
