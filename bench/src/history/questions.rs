//! Random questions of all shapes that a task list is asked, and the same in SQL.

use flow::{Clock, SystemClock};
use ledger::TaskFilter;
use model::{TASK_TYPES, TaskResult};
use rand::Rng;
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;

use crate::api::ACCOUNT;
use crate::seed::{NAMES, Subject, kind};

/// A question: which tasks, and which page of them.
pub(crate) struct Question {
    pub(crate) shape: &'static str,
    pub(crate) filter: TaskFilter,
    pub(crate) limit: i64,
    pub(crate) offset: i64,
}

/// The shapes; those that a whole account answers say so.
pub(crate) const SHAPES: [(&str, bool); 12] = [
    ("none", true),
    ("instance", false),
    ("name", true),
    ("types", true),
    ("result", true),
    ("caller", true),
    ("project", true),
    ("time", true),
    ("pair", true),
    ("triple", true),
    ("deep", true),
    ("100 rows", true),
];

impl Question {
    /// One of a shape, asked of the account that has most.
    pub(crate) fn random(random: &mut SmallRng, shape: &'static str, instances: u64) -> Self {
        let now = SystemClock.now().seconds();
        // As the API asks: nothing older than 30 days is shown.
        let filter = TaskFilter { account: ACCOUNT, from_second: Some(now - 30 * 24 * 3600), ..TaskFilter::default() };
        let mut question = Question { shape, filter, limit: 20, offset: 0 };
        let single = ["types", "result", "caller", "project", "time"];
        match shape {
            "instance" => question.filter.instance = Some(Self::subject(random, instances).id().as_str().into()),
            "name" => {
                question.filter.instance_name = Some(match random.random_bool(0.5) {
                    true => (*NAMES.choose(random).expect("there are names")).into(),
                    false => Self::subject(random, instances).name(),
                })
            }
            "pair" | "triple" | "deep" | "100 rows" => {
                let count = match shape {
                    "pair" => 2,
                    "triple" => 3,
                    _ => random.random_range(0..3),
                };
                for condition in single.choose_multiple(random, count) {
                    question.add(random, condition, now);
                }
            }
            condition => question.add(random, condition, now),
        }
        match shape {
            "deep" => question.offset = random.random_range(0..2_000_000),
            "100 rows" => question.limit = 100,
            _ => question.offset = 20 * random.random_range(0..5),
        }
        question
    }

    /// An instance of the account.
    fn subject(random: &mut SmallRng, instances: u64) -> Subject {
        loop {
            let subject = Subject::random(random, instances);
            if subject.account == ACCOUNT {
                return subject;
            }
        }
    }

    fn add(&mut self, random: &mut SmallRng, condition: &str, now: i64) {
        let filter = &mut self.filter;
        match condition {
            "types" => {
                let count = random.random_range(1..=5);
                filter.kinds = (0..count).map(|_| TASK_TYPES[kind(random)].code.to_owned()).collect();
            }
            "result" => {
                let all = [TaskResult::Waiting, TaskResult::Running, TaskResult::Done, TaskResult::Failed];
                let count = random.random_range(1..=2);
                filter.results = all.choose_multiple(random, count).copied().collect();
            }
            "caller" => filter.callers = vec![Self::subject(random, 1000).caller(random)],
            "project" => filter.projects = vec![Self::subject(random, 1000).project()],
            "time" => {
                let from = now - random.random_range(0..30 * 24 * 3600);
                filter.from_second = Some(from);
                filter.to_second = Some(from + random.random_range(60..10 * 24 * 3600));
            }
            _ => {}
        }
    }

    /// The count and the page in SQL, with the values written out.
    pub(crate) fn sql(&self) -> (String, String) {
        let filter = &self.filter;
        let mut fits = format!("account = {}", filter.account);
        let mut and = |condition: String| fits.push_str(&format!(" and {condition}"));
        filter.from_second.iter().for_each(|from| and(format!("started_at >= {}", from * 1000)));
        filter.to_second.iter().for_each(|to| and(format!("started_at < {}", (to + 1) * 1000)));
        filter.instance.iter().for_each(|instance| and(format!("instance = '{instance}'")));
        filter.instance_name.iter().for_each(|name| and(format!("instance_name = '{name}'")));
        let texts = |values: &[String]| values.iter().map(|value| format!("'{value}'")).collect::<Vec<_>>();
        let lists = [
            ("project", filter.projects.iter().map(i64::to_string).collect()),
            ("type", texts(&filter.kinds)),
            ("result", filter.results.iter().map(|result| result.number().to_string()).collect()),
            ("caller", texts(&filter.callers)),
        ];
        lists.iter().filter(|(_, values)| !values.is_empty()).for_each(|(column, values)| {
            and(format!("{column} in ({})", values.join(", ")));
        });
        let page = format!(
            "select * from task where {fits} order by started_at desc, id desc limit {} offset {}",
            self.limit, self.offset
        );
        (format!("select count(*) from task where {fits}"), page)
    }
}
