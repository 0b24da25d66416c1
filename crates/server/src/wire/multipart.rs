//! `multipart/form-data`, as far as SDKs write it: a name and a text for each parameter. The types of the parts are
//! not of interest, since the action declares the types of its parameters.

use memchr::memmem::Finder;
use model::ApiError;

use super::errors;

/// More parts than any request has; the bound is for the memory.
const MAX_PARTS: usize = 10_000;

/// Reads the parts of a body by name, in their order.
///
/// # Errors
/// `InvalidRequest` for what is malformed, and `InvalidParameter` for a part that is not UTF-8: no parameter is binary.
pub(super) fn read(content_type: &str, body: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let boundary = parameter(content_type, "boundary").filter(|boundary| !boundary.is_empty());
    let boundary = boundary
        .ok_or_else(|| errors::malformed_multipart("its Content-Type has no boundary", "Content-Type 缺少 boundary"))?;
    let delimiter = format!("\r\n--{boundary}");
    let finder = Finder::new(delimiter.as_bytes());
    let opening = &delimiter.as_bytes()[2..];
    let mut rest = body
        .strip_prefix(opening)
        .ok_or_else(|| errors::malformed_multipart("it does not begin with its boundary", "未以 boundary 开头"))?;
    let mut parts = Vec::new();
    while !rest.starts_with(b"--") {
        if parts.len() == MAX_PARTS {
            return Err(errors::malformed_multipart("it has too many parts", "分段过多"));
        }
        let part = rest.strip_prefix(b"\r\n").ok_or_else(|| {
            errors::malformed_multipart("a boundary is not at the end of its line", "boundary 之后应换行")
        })?;
        let end = finder
            .find(part)
            .ok_or_else(|| errors::malformed_multipart("it does not end with its boundary", "未以 boundary 结尾"))?;
        parts.push(read_part(&part[..end])?);
        rest = &part[end + delimiter.len()..];
    }
    Ok(parts)
}

fn read_part(part: &[u8]) -> Result<(String, String), ApiError> {
    let nameless = || errors::malformed_multipart("a part has no name", "分段缺少名称");
    let blank = memchr::memmem::find(part, b"\r\n\r\n").ok_or_else(nameless)?;
    let head = std::str::from_utf8(&part[..blank]).map_err(|_| nameless())?;
    let disposition = head.split("\r\n").filter_map(|line| line.split_once(':'));
    let mut disposition = disposition.filter(|(name, _)| name.trim_ascii().eq_ignore_ascii_case("content-disposition"));
    let (_, value) = disposition.next().ok_or_else(nameless)?;
    let name = parameter(value, "name").ok_or_else(nameless)?;
    match std::str::from_utf8(&part[blank + 4..]) {
        Ok(text) => Ok((name, text.to_owned())),
        Err(_) => Err(errors::part_not_text(&name)),
    }
}

/// A parameter of a header value: `x` of `form-data; name="x"`.
fn parameter(header: &str, wanted: &str) -> Option<String> {
    let mut rest = header.split_once(';')?.1;
    loop {
        let (name, value) = rest.split_once('=')?;
        let value = value.trim_ascii_start();
        let (value, tail) = match value.strip_prefix('"') {
            Some(quoted) => unquote(quoted)?,
            None => {
                let end = value.find(';').unwrap_or(value.len());
                (value[..end].trim_ascii().to_owned(), &value[end..])
            }
        };
        if name.trim_matches([';', ' ', '\t']).eq_ignore_ascii_case(wanted) {
            return Some(value);
        }
        rest = tail;
    }
}

/// The text up to the closing quote, and what follows it.
fn unquote(quoted: &str) -> Option<(String, &str)> {
    let mut text = String::new();
    let mut chars = quoted.char_indices();
    while let Some((at, char)) = chars.next() {
        match char {
            '"' => return Some((text, &quoted[at + 1..])),
            '\\' => text.push(chars.next()?.1),
            other => text.push(other),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use model::code;

    use super::*;

    #[test]
    fn parts_are_read_as_the_sdks_write_them() {
        let check = |content_type: &str, body: &str, wanted: &[(&str, &str)]| {
            let parts = read(content_type, body.as_bytes()).unwrap();
            assert_eq!(parts.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), wanted);
        };
        let python = "--B\r\nContent-Disposition: form-data; name=\"Limit\"\r\n\r\n20\r\n\
                      --B\r\nContent-Disposition: form-data; name=\"F\"; filename=\"F\"\r\n\r\na\r\nb\r\n\
                      --B\r\nContent-Disposition: form-data; name=\"J\"\r\nContent-Type: application/json\r\n\r\n[1]\r\n\
                      --B--\r\n";
        let wanted = [("Limit", "20"), ("F", "a\r\nb"), ("J", "[1]")];
        check("multipart/form-data; boundary=B", python, &wanted);
        check("multipart/form-data; charset=utf-8; boundary=B", python, &wanted);
        check("Multipart/Form-Data;Boundary=\"B\"", python, &wanted);
        let node = "--B\r\ncontent-disposition: form-data; name=\"a\\\"b\"\r\n\
                    content-type: application/octet-stream\r\n\r\n\r\n--B--";
        check("multipart/form-data; boundary=B", node, &[("a\"b", "")]);
        check("multipart/form-data; boundary=B", "--B--\r\n", &[]);
        let quoted = "--B\r\nContent-Disposition: form-data; filename=\"; name=x\"; name=y\r\n\r\n--\r\n--B--";
        check("multipart/form-data; boundary=B", quoted, &[("y", "--")]);
    }

    #[test]
    fn what_is_malformed_is_refused() {
        let part = "Content-Disposition: form-data; name=\"a\"\r\n\r\n1\r\n";
        let check = |content_type: &str, body: &str| {
            assert_eq!(read(content_type, body.as_bytes()).unwrap_err().code, code::InvalidRequest, "{body:?}");
        };
        check("multipart/form-data", &format!("--B\r\n{part}--B--\r\n"));
        check("multipart/form-data; boundary=", &format!("--\r\n{part}----\r\n"));
        check("multipart/form-data; boundary=\"B", &format!("--B\r\n{part}--B--\r\n"));
        for body in [
            String::new(),
            "--B".into(),
            "--B\r\n".into(),
            part.into(),
            format!("--B{part}--B--\r\n"),
            format!("--B\r\n{part}"),
            format!("--B\r\n{part}--B\r\n"),
            format!("--C\r\n{part}--C--\r\n"),
            "--B\r\n\r\n1\r\n--B--\r\n".into(),
            "--B\r\nContent-Disposition: form-data\r\n\r\n1\r\n--B--\r\n".into(),
            "--B\r\nContent-Disposition: form-data; name=\"a\"\r\n1\r\n--B--\r\n".into(),
            "--B\r\nContent-Type: text/plain\r\n\r\n1\r\n--B--\r\n".into(),
        ] {
            check("multipart/form-data; boundary=B", &body);
        }
        let many = format!("--B\r\n{}", format!("{part}--B\r\n").repeat(MAX_PARTS + 1));
        check("multipart/form-data; boundary=B", &many);
    }

    #[test]
    fn a_binary_part_is_named() {
        let body = b"--B\r\nContent-Disposition: form-data; name=\"F\"\r\n\r\n\xff\r\n--B--\r\n";
        let error = read("multipart/form-data; boundary=B", body).unwrap_err();
        assert_eq!(error.code, code::InvalidParameter);
        assert!(error.message.en.contains("`F`"));
    }
}
