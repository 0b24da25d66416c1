//! How one gets in.

pub(crate) mod describe_instance_password_policy;
pub(crate) mod finish_rotation;
pub(crate) mod modfiy_instance_password;
pub(crate) mod modify_instance_password;
pub(crate) mod modify_instance_password_policy;
pub(crate) mod reset_password;
pub(crate) mod rotate_password;

use ledger::{PasswordPolicy, Reader};
use model::{InstanceId, Secret, code};

use crate::errors::{Answer, bad_value_as};

/// What is asked of new passwords where nothing was chosen.
const DEFAULT_POLICY: PasswordPolicy = PasswordPolicy { enabled: false, letters: 1, digits: 1, special: 1, length: 8 };

/// Refuses a new password of an instance, or of a user of it, that is not what the instance's policy asks for. That it
/// is what every password must be is seen to already.
pub(super) fn check_policy(reader: &mut dyn Reader, id: &InstanceId, parameter: &str, password: &Secret) -> Answer<()> {
    let Some(policy) = ledger::password_policy(reader, id)?.filter(|policy| policy.enabled) else { return Ok(()) };
    let text = password.expose();
    let count = |which: fn(&char) -> bool| text.chars().filter(which).count() as i64;
    let (letters, digits) = (count(char::is_ascii_alphabetic), count(char::is_ascii_digit));
    let all = text.chars().count() as i64;
    let enough = [
        (letters, policy.letters),
        (digits, policy.digits),
        (all - letters - digits, policy.special),
        (all, policy.length),
    ];
    if enough.iter().all(|(has, least)| has >= least) {
        return Ok(());
    }
    let PasswordPolicy { letters, digits, special, length, .. } = policy;
    Err(bad_value_as(
        code::InvalidParameterValuePasswordRuleError,
        parameter,
        &format!(
            "the instance's password policy asks for {length} characters at the least, of them {letters} letters, \
             {digits} digits and {special} special characters (DescribeInstancePasswordPolicy)"
        ),
        &format!(
            "实例的密码策略要求至少{length}个字符，其中字母至少{letters}个、数字至少{digits}个、特殊字符至少{special}个\
             （DescribeInstancePasswordPolicy）"
        ),
    ))
}
