//! Values that go into statements and come out of rows, the same for both databases.
//!
//! Three kinds are enough: signed 64-bit numbers, texts, bytes.

use annals_tlog::{HASH_BYTES, Hash};
use postgres::types::{IsNull, ToSql, Type, to_sql_checked};
use rusqlite::types::{ToSqlOutput, ValueRef};

use crate::error::StoreError;

/// A parameter of a statement.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Value<'v> {
    Bytes(&'v [u8]),
    Int(i64),
    Null,
    Text(&'v str),
}

impl<'v> Value<'v> {
    /// The bytes of a text or of bytes: PostgreSQL keeps some texts of producers as bytes.
    pub(crate) fn as_bytes(&self) -> Option<&'v [u8]> {
        match self {
            Value::Bytes(bytes) => Some(bytes),
            Value::Text(text) => Some(text.as_bytes()),
            Value::Int(_) | Value::Null => None,
        }
    }

    pub(crate) fn optional_text(text: Option<&'v str>) -> Value<'v> {
        text.map_or(Value::Null, Value::Text)
    }

    pub(crate) fn optional_int(number: Option<i64>) -> Value<'v> {
        number.map_or(Value::Null, Value::Int)
    }
}

impl rusqlite::ToSql for Value<'_> {
    fn to_sql(&self) -> rusqlite::Result<ToSqlOutput<'_>> {
        Ok(ToSqlOutput::Borrowed(match self {
            Value::Bytes(bytes) => ValueRef::Blob(bytes),
            Value::Int(number) => ValueRef::Integer(*number),
            Value::Null => ValueRef::Null,
            Value::Text(text) => ValueRef::Text(text.as_bytes()),
        }))
    }
}

impl ToSql for Value<'_> {
    fn to_sql(
        &self,
        ty: &Type,
        out: &mut bytes::BytesMut,
    ) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        match self {
            Value::Null => Ok(IsNull::Yes),
            Value::Int(number) if *ty == Type::INT8 => number.to_sql(ty, out),
            Value::Text(text) if *ty == Type::TEXT => text.to_sql(ty, out),
            Value::Bytes(_) | Value::Text(_) if *ty == Type::BYTEA => self.as_bytes().to_sql(ty, out),
            Value::Bytes(_) => Err(format!("a parameter of type {ty} does not take bytes").into()),
            Value::Int(_) => Err(format!("a parameter of type {ty} does not take a number").into()),
            Value::Text(_) => Err(format!("a parameter of type {ty} does not take a text").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        // `to_sql` looks at value and type together.
        true
    }

    to_sql_checked!();
}

/// A row of a result. Columns count from 0.
#[derive(Clone, Copy)]
pub(crate) enum Row<'r> {
    Postgres(&'r postgres::Row),
    Sqlite(&'r rusqlite::Row<'r>),
}

impl Row<'_> {
    fn get<T>(&self, column: usize) -> Result<T, StoreError>
    where
        T: rusqlite::types::FromSql + for<'a> postgres::types::FromSql<'a>,
    {
        match self {
            Row::Postgres(row) => Ok(row.try_get(column)?),
            Row::Sqlite(row) => Ok(row.get(column)?),
        }
    }

    pub(crate) fn int(&self, column: usize) -> Result<i64, StoreError> {
        self.get(column)
    }

    pub(crate) fn optional_int(&self, column: usize) -> Result<Option<i64>, StoreError> {
        self.get(column)
    }

    pub(crate) fn text(&self, column: usize) -> Result<String, StoreError> {
        self.get(column)
    }

    pub(crate) fn optional_text(&self, column: usize) -> Result<Option<String>, StoreError> {
        self.get(column)
    }

    pub(crate) fn bytes(&self, column: usize) -> Result<Vec<u8>, StoreError> {
        self.get(column)
    }

    /// The bytes of a text that PostgreSQL keeps as bytes.
    pub(crate) fn bytes_of_text(&self, column: usize) -> Result<&[u8], StoreError> {
        match self {
            Row::Postgres(row) => Ok(row.try_get(column)?),
            Row::Sqlite(row) => Ok(row.get_ref(column)?.as_bytes().map_err(rusqlite::Error::from)?),
        }
    }

    /// A number that cannot be negative; `name` is what an error calls it.
    pub(crate) fn unsigned(&self, column: usize, name: &str) -> Result<u64, StoreError> {
        unsigned(self.int(column)?, name)
    }

    /// Bytes of a fixed length; `name` is what an error calls them.
    pub(crate) fn array<const N: usize>(&self, column: usize, name: &str) -> Result<[u8; N], StoreError> {
        self.bytes(column)?
            .try_into()
            .map_err(|_| StoreError::Damaged { what: format!("{name} has not {N} bytes") })
    }

    pub(crate) fn hash(&self, column: usize, name: &str) -> Result<Hash, StoreError> {
        Ok(Hash::from_bytes(self.array::<HASH_BYTES>(column, name)?))
    }
}

/// Both databases count in signed numbers; a log of 2^63 events is out of reach.
pub(crate) fn signed(number: u64) -> Result<i64, StoreError> {
    i64::try_from(number).map_err(|_| StoreError::Damaged { what: format!("{number} is beyond any log") })
}

pub(crate) fn unsigned(number: i64, name: &str) -> Result<u64, StoreError> {
    u64::try_from(number).map_err(|_| StoreError::Damaged { what: format!("{name} is {number}") })
}
