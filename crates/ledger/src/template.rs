use model::{InstanceId, Millis, TypeId};

use crate::{ParamStatus, Params, Reader, Result, Row, Tx, args};

/// A parameter template of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its id.
    pub id: String,
    /// Whose it is.
    pub account: i64,
    /// What its owner calls it.
    pub name: String,
    /// What its owner says of it.
    pub description: String,
    /// The type of the instances that it is for.
    pub type_id: TypeId,
    /// When it was made.
    pub created_at: Millis,
    /// Its parameters; one that is not here has its default.
    pub params: Params,
}

const COLUMNS: &str = "id, account, name, description, type, created_at";

fn read(mut row: Row) -> Result<Template> {
    Ok(Template {
        id: row.text(0)?,
        account: row.int(1)?,
        name: row.text(2)?,
        description: row.text(3)?,
        type_id: row.numbered(4, TypeId::parse)?,
        created_at: Millis(row.int(5)?),
        params: Params::new(),
    })
}

/// Adds a template, or replaces the one of its id.
pub fn put_template(tx: &mut dyn Tx, template: &Template) -> Result<()> {
    tx.exec(
        &format!(
            "insert into template ({COLUMNS}) values ($1, $2, $3, $4, $5, $6)
             on conflict (id) do update set name = excluded.name, description = excluded.description"
        ),
        args![
            template.id.as_str(),
            template.account,
            template.name.as_str(),
            template.description.as_str(),
            template.type_id.number(),
            template.created_at,
        ],
    )?;
    tx.exec("delete from template_param where template = $1", args![template.id.as_str()])?;
    for (name, value) in &template.params {
        tx.exec(
            "insert into template_param (template, name, value) values ($1, $2, $3)",
            args![template.id.as_str(), name.as_str(), value.as_str()],
        )?;
    }
    Ok(())
}

/// Deletes a template.
pub fn delete_template(tx: &mut dyn Tx, id: &str) -> Result<()> {
    tx.exec("delete from template_param where template = $1", args![id])?;
    tx.exec("delete from template where id = $1", args![id])?;
    Ok(())
}

/// The account's template of this id.
pub fn template(reader: &mut dyn Reader, account: i64, id: &str) -> Result<Option<Template>> {
    let sql = format!("select {COLUMNS} from template where account = $1 and id = $2");
    let Some(row) = reader.row(&sql, args![account, id])? else { return Ok(None) };
    let params = reader.rows("select name, value from template_param where template = $1", args![id])?;
    let params = params.into_iter().map(|mut row| Ok((row.text(0)?, row.text(1)?))).collect::<Result<_>>()?;
    Ok(Some(Template { params, ..read(row)? }))
}

/// The templates of an account in the order of their making, without their parameters.
pub fn templates_of(reader: &mut dyn Reader, account: i64) -> Result<Vec<Template>> {
    let sql = format!("select {COLUMNS} from template where account = $1 order by created_at, id");
    reader.rows(&sql, args![account])?.into_iter().map(read).collect()
}

/// The instance to which a task applies this template now, if there is one.
pub fn applied_to(reader: &mut dyn Reader, template: &str) -> Result<Option<InstanceId>> {
    let sql = "select instance from param_record where template = $1 and status = $2 limit 1";
    let found = reader.row(sql, args![template, ParamStatus::Changing.number()])?;
    found.map(|mut row| row.parsed(0, InstanceId::parse)).transpose()
}
