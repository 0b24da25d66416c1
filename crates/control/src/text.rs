//! Texts that customers choose, read into what can't hold a wrong one.

use model::{ApiError, Secret, code};

use crate::errors::{Fault, bad_value_as};

/// Reads a name: at most 60 characters of letters, digits, Chinese characters, `-` and `_`.
///
/// # Errors
/// `InvalidParameterValue.InstanceNameRuleError`
pub(crate) fn name(parameter: &str, text: &str) -> Result<String, Fault> {
    let is_chinese =
        |c: char| matches!(c, '\u{3400}'..='\u{4dbf}' | '\u{4e00}'..='\u{9fff}' | '\u{20000}'..='\u{323af}');
    let allowed = |c: char| c.is_ascii_alphanumeric() || is_chinese(c) || c == '-' || c == '_';
    if !text.is_empty() && text.chars().count() <= 60 && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    Err(bad_value_as(
        code::InvalidParameterValueInstanceNameRuleError,
        parameter,
        "a name has 1 to 60 letters, digits, Chinese characters, `-` or `_`",
        "名称为1至60个字符，仅支持中文、字母、数字、“-”和“_”",
    ))
}

const SPECIAL: &str = "()`~!@#$%^&*-+=_|{}[]:;<>,.?/";

/// Reads a new password: 8 to 64 characters of at least two kinds (lower case, upper case, digits, special
/// characters), the first not a `/`.
///
/// # Errors
/// `InvalidParameterValue.PasswordEmpty` or `InvalidParameterValue.PasswordRuleError`; neither repeats the password.
pub(crate) fn new_password(parameter: &str, text: &str) -> Result<Secret, Fault> {
    if text.is_empty() {
        return Err(empty_password(parameter));
    }
    let kinds: [&dyn Fn(char) -> bool; 4] =
        [&|c| c.is_ascii_lowercase(), &|c| c.is_ascii_uppercase(), &|c| c.is_ascii_digit(), &|c| SPECIAL.contains(c)];
    let known = text.chars().all(|c| kinds.iter().any(|kind| kind(c)));
    let used = kinds.iter().filter(|kind| text.chars().any(kind)).count();
    if (8..=64).contains(&text.len()) && known && used >= 2 && !text.starts_with('/') {
        return Ok(Secret::new(text));
    }
    Err(bad_value_as(
        code::InvalidParameterValuePasswordRuleError,
        parameter,
        "a password has 8 to 64 characters of at least two kinds out of lower case, upper case, digits and \
         ()`~!@#$%^&*-+=_|{}[]:;<>,.?/ and does not begin with /",
        "密码长度为8至64个字符，须包含小写字母、大写字母、数字和特殊字符()`~!@#$%^&*-+=_|{}[]:;<>,.?/中的至少两种，且不能以“/”开头",
    ))
}

/// No password was given where one is needed.
pub(crate) fn empty_password(parameter: &str) -> Fault {
    ApiError::new(
        code::InvalidParameterValuePasswordEmpty,
        format!("The parameter `{parameter}` must hold a password."),
        format!("参数 `{parameter}` 不能为空。"),
    )
    .into()
}

/// The password given is not the instance's.
pub(crate) fn wrong_password(parameter: &str) -> Fault {
    ApiError::new(
        code::InvalidParameterValuePasswordError,
        format!("The password in the parameter `{parameter}` is wrong."),
        format!("参数 `{parameter}` 中的密码错误。"),
    )
    .into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_follow_the_documented_rule() {
        let accepted = |text: &str| new_password("Password", text).is_ok();
        for text in ["Passw0rd", "12345678a", "aaaaaaa!", &"aB".repeat(32)] {
            assert!(accepted(text), "{text}");
        }
        for text in ["", "short1A", "onlylower", "12345678", "/Passw0rd", "Passw0rd é", "Passw0rd x", &"aB".repeat(33)]
        {
            assert!(!accepted(text), "{text}");
        }
    }

    #[test]
    fn names_may_be_chinese_and_may_not_hold_blanks() {
        for (text, fits) in [
            ("缓存-1_a", true),
            ("", false),
            ("a b", false),
            ("é", false),
            (&"x".repeat(60), true),
            (&"x".repeat(61), false),
        ] {
            assert_eq!(name("InstanceName", text).is_ok(), fits, "{text}");
        }
    }
}
