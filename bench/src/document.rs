//! The documents that hold figures.

use std::fs;
use std::path::Path;

use anyhow::Context;

const BEGIN: &str = "<!-- figures -->\n";
const END: &str = "<!-- end of figures -->\n";

/// Puts figures into a document below `docs/`, in the place of what was there.
pub(crate) fn write(name: &str, text: &str) -> anyhow::Result<()> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).with_file_name("docs").join(name);
    let before = fs::read_to_string(&path).with_context(|| format!("read {}", path.display()))?;
    let (head, rest) = before.split_once(BEGIN).context("the document has no place for figures")?;
    let (_, tail) = rest.split_once(END).context("the document's place for figures has no end")?;
    let after = format!("{head}{BEGIN}\n{text}{END}{tail}");
    fs::write(&path, after).with_context(|| format!("write {}", path.display()))
}
