//! What was seen, as Prometheus reads it.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use model::{Counts, InstanceId, LATENCY_STEPS, Sight};

/// Writes all of it in the text format.
pub(super) fn render(sights: &BTreeMap<InstanceId, Sight>) -> String {
    let mut text = String::new();
    let mut family = |name: &str, kind: &str, help: &str, rows: &dyn Fn(&mut Rows<'_>, &Sight)| {
        let mut rows_text = String::new();
        for (instance, sight) in sights {
            rows(&mut Rows { text: &mut rows_text, name, instance }, sight);
        }
        // One without rows is left out.
        if !rows_text.is_empty() {
            let _ = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{rows_text}");
        }
    };
    let connections = "Open client connections.";
    family("opencrs_gateway_connections", "gauge", connections, &|rows, sight| {
        rows.row("", &[], sight.sources.values().sum());
    });
    let accepted = "Client connections that were let in.";
    family("opencrs_gateway_connections_accepted_total", "counter", accepted, &|rows, sight| {
        rows.row("", &[], sight.counts.accepted);
    });
    let refused = "Client connections that were not let in, by reason.";
    family("opencrs_gateway_connections_refused_total", "counter", refused, &|rows, sight| {
        rows.by_reason(&sight.counts.refused);
    });
    let closed = "Client connections that have ended, by reason.";
    family("opencrs_gateway_connections_closed_total", "counter", closed, &|rows, sight| {
        rows.by_reason(&sight.counts.closed);
    });
    let errors = "What the gateway itself answered with an error, by reason.";
    family("opencrs_gateway_errors_total", "counter", errors, &|rows, sight| rows.by_reason(&sight.counts.errors));
    family("opencrs_gateway_received_bytes_total", "counter", "Bytes that clients sent.", &|rows, sight| {
        rows.row("", &[], sight.counts.inbound);
    });
    family("opencrs_gateway_sent_bytes_total", "counter", "Bytes that clients got.", &|rows, sight| {
        rows.row("", &[], sight.counts.outbound);
    });
    family("opencrs_gateway_commands_total", "counter", "Commands that were answered.", &|rows, sight| {
        for (command, counts) in &sight.counts.commands {
            rows.row("", &[("command", command)], counts.count);
        }
    });
    let failed = "Commands that were answered with an error.";
    family("opencrs_gateway_commands_failed_total", "counter", failed, &|rows, sight| {
        for (command, counts) in &sight.counts.commands {
            rows.row("", &[("command", command)], counts.failed);
        }
    });
    let took = "How long commands took until their answers came back, all together.";
    family("opencrs_gateway_command_seconds_total", "counter", took, &|rows, sight| {
        for (command, counts) in &sight.counts.commands {
            rows.seconds("", &[("command", command)], counts.micros);
        }
    });
    let longest = "How long the slowest command took since the gateway began to count.";
    family("opencrs_gateway_command_max_seconds", "gauge", longest, &|rows, sight| {
        for (command, counts) in &sight.counts.commands {
            rows.seconds("", &[("command", command)], counts.max_micros);
        }
    });
    let latency = "How many commands took how long until their answers came back.";
    family("opencrs_gateway_latency_seconds", "histogram", latency, &|rows, sight| rows.histogram(&sight.counts));
    family("opencrs_gateway_slow_commands_total", "counter", "Commands that were slow.", &|rows, sight| {
        rows.row("", &[], sight.counts.slow);
    });
    text
}

/// The rows of one family for one instance.
struct Rows<'a> {
    text: &'a mut String,
    name: &'a str,
    instance: &'a InstanceId,
}

impl Rows<'_> {
    fn row(&mut self, suffix: &str, labels: &[(&str, &str)], value: u64) {
        self.begin(suffix, labels);
        let _ = writeln!(self.text, " {value}");
    }

    fn seconds(&mut self, suffix: &str, labels: &[(&str, &str)], micros: u64) {
        self.begin(suffix, labels);
        let _ = writeln!(self.text, " {}", in_seconds(micros));
    }

    fn begin(&mut self, suffix: &str, labels: &[(&str, &str)]) {
        // Writing to a string never fails.
        let _ = write!(self.text, "{}{suffix}{{instance=\"{}\"", self.name, self.instance);
        for (label, value) in labels {
            let _ = write!(self.text, ",{label}=\"{}\"", escape(value));
        }
        self.text.push('}');
    }

    fn by_reason(&mut self, counts: &BTreeMap<String, u64>) {
        for (reason, count) in counts {
            self.row("", &[("reason", reason)], *count);
        }
    }

    fn histogram(&mut self, counts: &Counts) {
        if counts.latency.is_empty() {
            return;
        }
        let mut sum = 0;
        for (step, count) in LATENCY_STEPS.iter().zip(&counts.latency) {
            sum += count;
            self.row("_bucket", &[("le", &in_seconds((*step).into()))], sum);
        }
        let all = counts.latency.iter().sum();
        self.row("_bucket", &[("le", "+Inf")], all);
        self.seconds("_sum", &[], counts.commands.values().map(|command| command.micros).sum());
        self.row("_count", &[], all);
    }
}

fn in_seconds(micros: u64) -> String {
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use model::Millis;

    use super::*;

    #[test]
    fn what_was_seen_is_written_as_prometheus_reads_it() {
        let mut sight = super::super::Sight::new(0, Millis(0));
        sight.entered([127, 0, 0, 1].into());
        for micros in [40, 60, 3_000_000] {
            let _ = sight.answered(0, micros, false);
        }
        let _ = sight.answered(1, 500, true);
        let instance = InstanceId::parse("crs-a0000001").unwrap();
        let idle = InstanceId::parse("crs-a0000002").unwrap();
        let names = ["get", "a\"b"];
        let all = BTreeMap::from([(instance, sight.tell(Millis(0), &names)), (idle, Sight::default())]);
        let text = render(&all);
        for line in [
            "# TYPE opencrs_gateway_connections gauge",
            "opencrs_gateway_connections{instance=\"crs-a0000001\"} 1",
            "opencrs_gateway_connections{instance=\"crs-a0000002\"} 0",
            "opencrs_gateway_commands_total{instance=\"crs-a0000001\",command=\"get\"} 3",
            "opencrs_gateway_commands_failed_total{instance=\"crs-a0000001\",command=\"a\\\"b\"} 1",
            "opencrs_gateway_command_seconds_total{instance=\"crs-a0000001\",command=\"get\"} 3.0001",
            "opencrs_gateway_latency_seconds_bucket{instance=\"crs-a0000001\",le=\"0.00005\"} 1",
            "opencrs_gateway_latency_seconds_bucket{instance=\"crs-a0000001\",le=\"1\"} 3",
            "opencrs_gateway_latency_seconds_bucket{instance=\"crs-a0000001\",le=\"+Inf\"} 4",
            "opencrs_gateway_latency_seconds_sum{instance=\"crs-a0000001\"} 3.0006",
            "opencrs_gateway_latency_seconds_count{instance=\"crs-a0000001\"} 4",
        ] {
            assert!(text.lines().any(|other| other == line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("refused"), "what has no rows is left out");
        let heads = text.lines().filter(|line| line.starts_with("# TYPE")).count();
        assert_eq!(heads, text.lines().filter(|line| line.starts_with("# HELP")).count());
    }

    #[test]
    fn nothing_seen_is_nothing_written() {
        assert_eq!(render(&BTreeMap::new()), "");
    }
}
