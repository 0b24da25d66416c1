//! Follows tasks. On a terminal those that are open stay below, each in its line, and what has ended goes up; elsewhere each
//! change is a line.

use std::collections::BTreeMap;
use std::io::{self, IsTerminal, Write};

use anyhow::{Context, bail, ensure};
use clap::ArgMatches;
use clap::parser::ValueSource;
use model::TaskType;
use serde_json::{Value, json};

use super::client::Client;
use super::row::{Row, cut, header};
use super::{all, say};

/// Flags that WatchTasks has nothing for.
const OF_LISTS: [&str; 8] = ["instance-name", "project", "result", "operator", "from", "to", "limit", "offset"];

pub(super) async fn run(client: &Client, matches: &ArgMatches) -> anyhow::Result<()> {
    let given = |name: &&&str| matches.value_source(name) == Some(ValueSource::CommandLine);
    if let Some(flag) = OF_LISTS.iter().find(given) {
        bail!("--{flag} goes with lists; what is watched is chosen by --instance-id and --type");
    }
    let mut codes = Vec::new();
    for text in all::<String>(matches, "type") {
        let kind = TaskType::by_filter(&text).with_context(|| format!("there is no type of task {text:?}"))?;
        codes.push(kind.code);
        codes.extend(kind.also);
    }
    let mut params = json!({});
    if let Some(id) = matches.get_one::<String>("instance-id") {
        params["InstanceId"] = id.as_str().into();
    }
    let is_json = matches.get_flag("json");
    let mut events = client.events(control::OPENCRS, "WatchTasks", &params).await?;
    let mut screen = (!is_json && io::stdout().is_terminal()).then(Screen::default);
    if !is_json && screen.is_none() {
        say(&header())?;
    }
    while let Some((name, data)) = events.next().await? {
        let row: Row = serde_json::from_str(&data).context("read what the server tells")?;
        if !codes.is_empty() && !codes.contains(&row.task_type.as_str()) {
            continue;
        }
        // A step is told with how its task stands now, which may be at its end already: that is told too.
        if !is_json && !row.is_open() && name != "end" && name != "snapshot" {
            continue;
        }
        match &mut screen {
            Some(screen) => screen.show(row)?,
            None if is_json => {
                let mut data: Value = serde_json::from_str(&data).context("read what the server tells")?;
                data["Event"] = name.into();
                say(&data.to_string())?;
            }
            None => say(&row.line())?,
        }
    }
    ensure!(
        screen.is_none_or(|screen| screen.open.is_empty()),
        "the server has ended; its tasks go on at its next start"
    );
    bail!("the server has ended")
}

/// So many columns hold a whole line, with some of what it ends with.
const WHOLE_LINE: usize = 140;

/// The lines that stay.
#[derive(Default)]
struct Screen {
    open: BTreeMap<i64, Row>,
    /// How many lines are drawn below those that have gone up.
    drawn: usize,
}

impl Screen {
    fn show(&mut self, row: Row) -> io::Result<()> {
        // Some terminals don't know, and say 0.
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok().filter(|size| size.ws_col > 0 && size.ws_row > 3);
        let (columns, lines) = size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()));
        let text = self.draw(row, columns, lines);
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// What has to be written so that a task stands as it does now.
    fn draw(&mut self, row: Row, columns: usize, lines: usize) -> String {
        let mut text = String::new();
        let line = if columns < WHOLE_LINE { Row::short_line } else { Row::line };
        if self.drawn > 0 {
            // Up to where they begin, and away with them.
            text += &format!("\x1b[{}A\r\x1b[J", self.drawn);
        }
        let mut put = |line: &str| {
            text += &cut(line, columns.saturating_sub(1));
            text.push('\n');
        };
        if row.is_open() {
            self.open.insert(row.task_id, row);
        } else {
            put(&line(&row));
            self.open.remove(&row.task_id);
        }
        // Lines that have left the screen can't be drawn anew.
        let room = lines - 2;
        let hidden = self.open.len().saturating_sub(room);
        for row in self.open.values().skip(hidden) {
            put(&line(row));
        }
        if hidden > 0 {
            put(&format!("and {hidden} more that are open"));
        }
        self.drawn = self.open.len() - hidden + usize::from(hidden > 0);
        text
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(id: i64, result: i64) -> Row {
        let row = json!({ "TaskId": id, "InstanceId": "crs-1", "TaskType": "001", "Result": result, "Progress": 0.5,
            "StartTime": "2026-11-24 08:00:00", "EndTime": "" });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn open_tasks_are_drawn_anew_in_their_place_and_what_has_ended_goes_up() {
        let mut screen = Screen::default();
        assert!(!screen.draw(row(1, 1), 200, 24).contains('\x1b'));
        let both = screen.draw(row(2, 0), 200, 24);
        assert!(both.starts_with("\x1b[1A\r\x1b[J") && both.lines().count() == 2, "{both:?}");
        let ended = screen.draw(row(1, 2), 200, 24);
        assert!(ended.starts_with("\x1b[2A\r\x1b[J"), "{ended:?}");
        let lines: Vec<_> = ended.lines().collect();
        assert!(lines[0].contains(" done ") && lines[1].contains("waiting"), "{lines:?}");
        assert_eq!(screen.drawn, 1);
    }

    #[test]
    fn more_than_the_screen_holds_are_counted_and_no_line_is_broken() {
        let mut screen = Screen::default();
        let drawn = (1..=9).map(|id| screen.draw(row(id, 1), 40, 6)).last().unwrap();
        assert_eq!((drawn.lines().count(), screen.drawn), (5, 5));
        assert!(
            drawn.contains("and 5 more that are open") && drawn.lines().all(|line| line.chars().count() <= 51),
            "{drawn}"
        );
    }
}
