//! A task as a line of a table.

use jiff::civil::DateTime;
use model::TaskType;
use serde::Deserialize;

/// What lists and events tell of a task.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Row {
    pub(super) task_id: i64,
    pub(super) instance_id: String,
    #[serde(default)]
    instance_name: String,
    pub(super) task_type: String,
    result: i64,
    progress: f64,
    start_time: String,
    end_time: String,
    /// Of an event: the step that is next.
    #[serde(default)]
    step: String,
    /// Of an event: what that waits for.
    #[serde(default)]
    waits_for: String,
    /// Of an event: why it failed.
    #[serde(default)]
    message: String,
}

/// How wide each column is but the last.
const TYPE: usize = 26;
const INSTANCE: usize = 28;
const STATE: usize = 27;
const BAR: usize = 12;

pub(super) fn header() -> String {
    line("TaskId", "Type", "Instance", "State", "Started", "Took")
}

fn line(id: &str, kind: &str, instance: &str, state: &str, started: &str, took: &str) -> String {
    let (kind, instance, state) = (cut(kind, TYPE), cut(instance, INSTANCE), cut(state, STATE));
    format!("{id:>8}  {kind:TYPE$}  {instance:INSTANCE$}  {state:STATE$}  {started:19}  {took}").trim_end().to_owned()
}

impl Row {
    pub(super) fn is_open(&self) -> bool {
        self.result < 2
    }

    pub(super) fn line(&self) -> String {
        let kind = TaskType::by_code(&self.task_type).map_or_else(String::new, |kind| format!(" {}", kind.title.0));
        let kind = self.task_type.clone() + &kind;
        let instance = match self.instance_name.as_str() {
            "" => self.instance_id.clone(),
            name => format!("{} {name}", self.instance_id),
        };
        let mut line = line(&self.task_id.to_string(), &kind, &instance, &self.state(), &self.start_time, &self.took());
        if !self.more().is_empty() {
            line += &format!("  {}", self.more());
        }
        line
    }

    /// For a terminal that is too narrow for all columns.
    pub(super) fn short_line(&self) -> String {
        let kind = TaskType::by_code(&self.task_type).map_or(self.task_type.as_str(), |kind| kind.title.0);
        let (id, instance, state) = (self.task_id, &self.instance_id, self.state());
        format!("{id:>6} {:18} {instance:12} {state} {}", cut(kind, 18), self.more()).trim_end().to_owned()
    }

    /// Of what goes on, where it is; of what failed, why.
    fn more(&self) -> &str {
        let more = match (self.is_open(), self.waits_for.as_str()) {
            (true, "") => &self.step,
            (true, waits_for) => waits_for,
            (false, _) => &self.message,
        };
        more.lines().next().unwrap_or_default()
    }

    fn state(&self) -> String {
        match self.result {
            0 => "waiting".into(),
            1 => format!("running {} {:>3}%", bar(self.progress), (self.progress * 100.0).floor()),
            2 => "done".into(),
            _ => "failed".into(),
        }
    }

    fn took(&self) -> String {
        let (begin, end) = (self.start_time.parse::<DateTime>(), self.end_time.parse::<DateTime>());
        let (Ok(begin), Ok(end), false) = (begin, end, self.is_open()) else { return "-".into() };
        let seconds = end.duration_since(begin).as_secs().max(0);
        match seconds {
            0..60 => format!("{seconds}s"),
            60..3_600 => format!("{}m{:02}s", seconds / 60, seconds % 60),
            _ => format!("{}h{:02}m", seconds / 3_600, seconds / 60 % 60),
        }
    }
}

fn bar(progress: f64) -> String {
    let full = (progress.clamp(0.0, 1.0) * BAR as f64) as usize;
    format!("[{}{}]", "#".repeat(full), ".".repeat(BAR - full))
}

/// As much of a text as so many columns hold, as far as a character takes one.
pub(super) fn cut(text: &str, columns: usize) -> String {
    if text.chars().count() <= columns {
        return text.to_owned();
    }
    text.chars().take(columns.saturating_sub(1)).chain(['…']).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn row(result: i64, progress: f64, end: &str) -> Row {
        let row = json!({ "TaskId": 7, "InstanceId": "crs-73j71ov3", "InstanceName": "shop", "TaskType": "001",
            "Result": result, "Progress": progress, "StartTime": "2026-11-24 08:00:00", "EndTime": end });
        serde_json::from_value(row).unwrap()
    }

    #[test]
    fn a_task_is_a_line_under_its_columns() {
        let (header, running) = (header(), row(1, 0.5, "0000-00-00 00:00:00").line());
        for (column, value) in [("Type", "001 "), ("Instance", "crs-73j71ov3 shop"), ("Started", "2026-11-24 08:00:00")]
        {
            assert_eq!(header.find(column), running.find(value), "{header}\n{running}");
        }
        assert!(running.contains("running [######......]  50%") && running.ends_with("  -"), "{running}");
        let done = row(2, 1.0, "2026-11-24 08:01:05").line();
        assert!(done.contains("  done  ") && done.ends_with("  1m05s"), "{done}");
        assert!(row(4, 0.2, "2026-11-24 10:30:00").line().contains("2h30m"));
    }

    #[test]
    fn of_a_task_that_is_followed_it_is_told_where_it_is_and_why_it_failed() {
        let open = Row { step: "start_nodes".into(), ..row(1, 0.0, "") };
        assert!(open.line().ends_with("start_nodes"));
        let waiting = Row { waits_for: "its maintenance window".into(), ..open };
        assert!(waiting.line().ends_with("its maintenance window"));
        let failed = Row { message: "no room\nfor it".into(), ..row(4, 0.0, "2026-11-24 08:00:00") };
        assert!(failed.line().ends_with("0s  no room"), "{}", failed.line());
    }

    #[test]
    fn a_narrow_terminal_shows_how_far_a_task_is_and_where() {
        let line = Row { step: "start_nodes".into(), ..row(1, 0.5, "") }.short_line();
        assert!(line.chars().count() < 80 && line.ends_with(" 50% start_nodes"), "{line}");
    }

    #[test]
    fn what_is_too_long_is_cut_visibly() {
        assert_eq!(cut("short", 5), "short");
        assert_eq!(cut("longer", 5), "long…");
    }
}
