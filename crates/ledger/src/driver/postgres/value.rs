//! Values in PostgreSQL's own form.

use std::error::Error as StdError;

use tokio_postgres::types::private::BytesMut;
use tokio_postgres::types::{FromSql, IsNull, ToSql, Type, to_sql_checked};

use crate::Value;

type Faults = Box<dyn StdError + Sync + Send>;

/// The type by which an argument is announced. A statement keeps those of its first arguments.
pub(super) fn type_of(value: &Value) -> Type {
    match value {
        // As the statement needs it.
        Value::Null => Type::UNKNOWN,
        Value::Int(_) => Type::INT8,
        Value::Real(_) => Type::FLOAT8,
        Value::Text(_) => Type::TEXT,
        Value::Blob(_) => Type::BYTEA,
    }
}

impl ToSql for Value {
    fn to_sql(&self, ty: &Type, out: &mut BytesMut) -> Result<IsNull, Faults> {
        match (self, ty) {
            (Value::Null, _) => Ok(IsNull::Yes),
            (Value::Int(value), &Type::INT8) => value.to_sql(ty, out),
            (Value::Int(value), &Type::INT4) => i32::try_from(*value)?.to_sql(ty, out),
            (Value::Int(value), &Type::FLOAT8) => (*value as f64).to_sql(ty, out),
            (Value::Real(value), &Type::FLOAT8) => value.to_sql(ty, out),
            (Value::Text(value), &(Type::TEXT | Type::VARCHAR | Type::UNKNOWN)) => value.to_sql(ty, out),
            (Value::Blob(value), &Type::BYTEA) => value.to_sql(ty, out),
            (other, ty) => Err(format!("{other:?} is no {ty}").into()),
        }
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    to_sql_checked!();
}

impl FromSql<'_> for Value {
    fn from_sql(ty: &Type, raw: &[u8]) -> Result<Self, Faults> {
        match *ty {
            Type::INT8 => Ok(Value::Int(i64::from_sql(ty, raw)?)),
            Type::INT2 => Ok(Value::Int(i16::from_sql(ty, raw)?.into())),
            Type::INT4 => Ok(Value::Int(i32::from_sql(ty, raw)?.into())),
            Type::BOOL => Ok(Value::Int(bool::from_sql(ty, raw)?.into())),
            Type::FLOAT8 => Ok(Value::Real(f64::from_sql(ty, raw)?)),
            Type::TEXT | Type::VARCHAR | Type::NAME | Type::UNKNOWN => Ok(Value::Text(String::from_sql(ty, raw)?)),
            Type::BYTEA => Ok(Value::Blob(raw.to_vec())),
            // What a statement that answers nothing answers.
            Type::VOID => Ok(Value::Null),
            ref other => Err(format!("a column of the type {other}; cast it to one that both stores have").into()),
        }
    }

    fn from_sql_null(_: &Type) -> Result<Self, Faults> {
        Ok(Value::Null)
    }

    fn accepts(_: &Type) -> bool {
        true
    }
}
