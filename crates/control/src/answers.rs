//! Answers that are still right. Clients that wait ask the same question again and again; as long as nothing was
//! written and the second is the same, so is the answer. An answer is never given again after a write was answered.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;

use crate::action::{Call, Language};
use crate::params::Params;

/// All that an answer depends on besides its question.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    /// The ledger's version, read before the ledger is.
    pub(crate) ledger: u64,
    /// The whole second.
    pub(crate) second: i64,
}

/// What was asked, by whom, in which language.
#[derive(Debug, PartialEq, Eq, Hash)]
pub(crate) struct Question {
    action: &'static str,
    account: i64,
    language: Language,
    params: Bytes,
}

impl Question {
    /// The question of a call; `None` where its parameters are not one text.
    pub(crate) fn of(action: &'static str, call: &Call, params: &Params) -> Option<Self> {
        let Params::Json(params) = params else { return None };
        let (account, language) = (call.caller.account, call.language);
        Some(Question { action, account, language, params: params.clone() })
    }
}

/// Answers of one moment; those of the moment before are forgotten with the first question of the next.
#[derive(Default)]
pub struct Answers(Mutex<Kept>);

#[derive(Default)]
struct Kept {
    moment: Moment,
    bytes: usize,
    answers: HashMap<Question, Arc<str>>,
}

/// What questions and answers may take in memory together.
const MOST_BYTES: usize = 4 << 20;

impl Answers {
    pub(crate) fn find(&self, moment: Moment, question: &Question) -> Option<Arc<str>> {
        let kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.moment == moment { kept.answers.get(question).cloned() } else { None }
    }

    pub(crate) fn keep(&self, moment: Moment, question: Question, answer: Arc<str>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.moment != moment {
            *kept = Kept { moment, ..Kept::default() };
        }
        let size = question.params.len() + answer.len();
        if kept.bytes + size <= MOST_BYTES {
            kept.bytes += size;
            // A copy: the request's own buffer may be a small part of a large one.
            let question = Question { params: Bytes::copy_from_slice(&question.params), ..question };
            kept.answers.insert(question, answer);
        }
    }
}
