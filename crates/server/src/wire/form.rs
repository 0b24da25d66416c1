use model::ApiError;

use super::errors;

/// More pairs than any request has; the bound is for the memory.
const MAX_PAIRS: usize = 20_000;

/// Reads the pairs of a query or a urlencoded form, decoded, in their order.
///
/// # Errors
/// `InvalidParameter` for a pair without `=`, and for a text that can't be decoded to UTF-8.
pub(super) fn read(text: &[u8]) -> Result<Vec<(String, String)>, ApiError> {
    let mut pairs = Vec::new();
    for pair in text.split(|byte| *byte == b'&').filter(|pair| !pair.is_empty()) {
        if pairs.len() == MAX_PAIRS {
            return Err(errors::too_many_parameters(MAX_PAIRS));
        }
        let equals = pair.iter().position(|byte| *byte == b'=');
        let (name, value) = pair.split_at(equals.ok_or_else(|| errors::malformed_pair(pair))?);
        let decoded = decode(name).zip(decode(&value[1..]));
        pairs.push(decoded.ok_or_else(|| errors::malformed_pair(pair))?);
    }
    Ok(pairs)
}

/// `+` is a space and `%E7` a byte; all else stands for itself, escaped or not, since clients differ in what they
/// escape.
fn decode(text: &[u8]) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text;
    while let [first, tail @ ..] = rest {
        rest = tail;
        match first {
            b'+' => bytes.push(b' '),
            b'%' => {
                let (digits, tail) = rest.split_at_checked(2)?;
                let mut byte = [0];
                hex::decode_to_slice(digits, &mut byte).ok()?;
                bytes.push(byte[0]);
                rest = tail;
            }
            other => bytes.push(*other),
        }
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use model::code;

    use super::*;

    #[test]
    fn pairs_are_decoded_in_their_order() {
        let check = |text: &str, wanted: &[(&str, &str)]| {
            let pairs = read(text.as_bytes()).unwrap();
            assert_eq!(pairs.iter().map(|(k, v)| (k.as_str(), v.as_str())).collect::<Vec<_>>(), wanted, "{text}");
        };
        check("", &[]);
        check("b=1&a=2", &[("b", "1"), ("a", "2")]);
        check("a=1&", &[("a", "1")]);
        check("H=&I.0.K=x", &[("H", ""), ("I.0.K", "x")]);
        check("a=b=c", &[("a", "b=c")]);
        check("a=x+y%20z%2Bw", &[("a", "x y z+w")]);
        check("a=%E7%BC%93%e5%ad%98&b=*~!'()", &[("a", "\u{7f13}\u{5b58}"), ("b", "*~!'()")]);
        check("\u{7f13}=\u{5b58}", &[("\u{7f13}", "\u{5b58}")]);
    }

    #[test]
    fn what_is_no_pair_is_refused() {
        for text in [&b"a"[..], b"a=1&b", b"a=%", b"a=%4", b"a=%zz", b"a=%ff", b"\xff=a", b"a=%+1"] {
            assert_eq!(read(text).unwrap_err().code, code::InvalidParameter, "{text:?}");
        }
        assert_eq!(read(&b"a=&".repeat(MAX_PAIRS + 1)).unwrap_err().code, code::InvalidParameter);
    }
}
