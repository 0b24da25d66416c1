use model::{ApiError, code};

use super::MAX_ITEMS;

/// What is wrong with one parameter, and which it is. Made where it is found, and told its place on the way out, so
/// that a request without faults builds no path.
#[derive(Debug)]
pub(super) struct Fault {
    what: What,
    /// Innermost first.
    path: Vec<String>,
}

#[derive(Debug)]
pub(super) enum What {
    /// No such parameter is declared.
    Unknown,
    /// A required one is absent.
    Missing,
    /// It is not of the type that is declared, which has this name.
    Type(&'static str),
    /// It is an integer, but does not fit the type of this name.
    Range(&'static str),
    /// It is there more than once.
    Twice,
    /// It has members, and a value of its own too.
    Torn,
    /// It has a NUL character, which no store can keep.
    Nul,
    /// A list has too many members.
    TooMany,
    /// Its flattened name can't be taken apart.
    Name,
    /// It should be a JSON text, and isn't: the parser's words.
    Syntax(String),
}

impl Fault {
    pub(super) fn new(what: What) -> Fault {
        Fault { what, path: Vec::new() }
    }

    /// What the JSON parser found.
    pub(super) fn syntax(error: &serde_json::Error) -> Fault {
        Fault::new(What::Syntax(excerpt(&error.to_string(), 200)))
    }

    /// The same fault, one level further out.
    pub(super) fn within(mut self, name: &str) -> Fault {
        self.path.push(excerpt(name, 64));
        self
    }

    pub(super) fn into_error(mut self) -> ApiError {
        self.path.reverse();
        let path = self.path.join(".");
        let invalid = |en: String, zh: String| ApiError::new(code::InvalidParameter, en, zh);
        match self.what {
            What::Unknown => ApiError::new(
                code::UnknownParameter,
                format!("The parameter `{path}` is not recognized."),
                format!("无法识别参数 `{path}`。"),
            ),
            What::Missing => ApiError::new(
                code::MissingParameter,
                format!("The request is missing the required parameter `{path}`."),
                format!("缺少必填参数 `{path}`。"),
            ),
            What::Syntax(why) if path.is_empty() => {
                invalid(format!("The request body can't be read: {why}."), format!("无法解析请求体：{why}。"))
            }
            What::Syntax(why) => invalid(
                format!("The parameter `{path}` can't be read as JSON: {why}."),
                format!("无法将参数 `{path}` 解析为 JSON：{why}。"),
            ),
            What::Type(wanted) => invalid(
                format!("The parameter `{path}` has the wrong type: `{wanted}` is wanted."),
                format!("参数 `{path}` 类型错误，应为 `{wanted}`。"),
            ),
            What::Range(wanted) => invalid(
                format!("The parameter `{path}` is out of range for its type, a `{wanted}`."),
                format!("参数 `{path}` 超出其类型 `{wanted}` 的取值范围。"),
            ),
            What::Twice => {
                invalid(format!("The parameter `{path}` is given more than once."), format!("参数 `{path}` 重复。"))
            }
            What::Torn => invalid(
                format!("The parameter `{path}` is given a value and members at the same time."),
                format!("参数 `{path}` 不能同时有值和成员。"),
            ),
            What::Nul => invalid(
                format!("The parameter `{path}` has a NUL character."),
                format!("参数 `{path}` 含有 NUL 字符。"),
            ),
            What::TooMany => invalid(
                format!("The parameter `{path}` has more than {MAX_ITEMS} members."),
                format!("参数 `{path}` 的成员超过 {MAX_ITEMS} 个。"),
            ),
            What::Name => invalid(
                format!("The parameter name `{path}` is malformed: members are written as `List.0.Name`."),
                format!("参数名 `{path}` 格式错误，成员应写作 `List.0.Name`。"),
            ),
        }
    }
}

/// As much of a client's own text as a message gives back.
fn excerpt(text: &str, chars: usize) -> String {
    text.chars().take(chars).collect()
}
