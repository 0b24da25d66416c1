//! Who may do what to what: every call passes here, once, before it runs.

use model::ApiError;

/// Whether an action looks or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verb {
    /// It only looks.
    Read,
    /// It changes something.
    Write,
}

/// What an action looks at or changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// Instances: those that the request names, or all of the account.
    Instance,
    /// Parameter templates of the account.
    Template,
    /// Tasks of the account.
    Task,
    /// Orders of the account.
    Deal,
    /// Projects of the account.
    Project,
    /// Security groups of the account.
    SecurityGroup,
    /// Networks of the account.
    Network,
    /// What can be bought here: nobody's in particular.
    Catalogue,
    /// The service itself.
    Service,
}

/// The access that an action needs. Each action declares one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Looking or changing.
    pub verb: Verb,
    /// What.
    pub resource: Resource,
}

impl Access {
    /// Looking at a resource.
    pub const fn read(resource: Resource) -> Self {
        Access { verb: Verb::Read, resource }
    }

    /// Changing a resource.
    pub const fn write(resource: Resource) -> Self {
        Access { verb: Verb::Write, resource }
    }
}

/// Who calls.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caller {
    /// The account that owns what is made and seen.
    pub account: i64,
    /// Who it is, as OperateUin shows it.
    pub uin: String,
}

/// Decides whether the caller may. For now there is one caller, the owner's root key pair, who may all.
///
/// # Errors
/// `AuthFailure.UnauthorizedOperation` where it may not.
pub(crate) fn decide(_caller: &Caller, _needs: Access) -> Result<(), ApiError> {
    Ok(())
}
