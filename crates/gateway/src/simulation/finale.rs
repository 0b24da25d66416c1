//! How a scene ends: nothing unusual happens any more, everything is answered, everybody goes, and nothing is left.

use std::time::Duration;

use super::engine::DATABASES;
use super::events::Affair;
use super::scene::Scene;
use crate::exchange::Inspection;

/// How long it may take until everything is answered: as long as a client waits for a node, and as a command waits that has
/// a limit.
const ANSWERED_WITHIN: Duration = Duration::from_secs(16);
/// After how long nothing is kept for those who have left.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(63);

impl Scene {
    /// Plays the scene; what must not be is the error.
    pub(super) fn play(&mut self) -> Result<(), String> {
        while !self.net.borrow().chance.is_over() {
            self.turn()?;
            if self.below(3) == 2 {
                self.happen()?;
            }
        }
        self.net.borrow_mut().chance.calm();
        self.finish()
    }

    fn finish(&mut self) -> Result<(), String> {
        self.tell("it comes to its end".into());
        for caller in &mut self.callers {
            caller.naps_until = None;
        }
        self.until_answered()?;
        // Once more to all, whatever they have become by now, with a switch in between.
        self.ask_all();
        self.begin_switch(Duration::from_secs(2));
        self.until_answered()?;
        if !matches!(self.affair, Affair::None) {
            return Err("the last switch has no end".into());
        }
        self.ask_all();
        self.until_answered()?;
        self.rest(Duration::from_secs(1))?;
        self.check_data()?;
        for caller in self.callers.iter().filter(|caller| caller.end.is_some()) {
            if let Some(why) = caller.untold() {
                return Err(format!("{} {why}", caller.prefix()));
            }
            let prefix = caller.prefix();
            let pushed = self.pushed.iter().find(|(of, _)| *of == prefix).map_or(0, |(_, last)| *last);
            for (database, got) in caller.got.iter().enumerate() {
                let left = self.nodes[self.primary].left_in(database, &format!("{prefix}q"));
                if !self.may_lose && caller.excuse.is_none() && got + left != pushed {
                    return Err(format!("{prefix} has got {got} of its queue, {left} are left of {pushed}"));
                }
            }
        }
        if !self.is_rough {
            self.check_heard()?;
        }
        self.everybody_goes()
    }

    fn ask_all(&mut self) {
        let now = self.now();
        for caller in self.callers.iter_mut().filter(|caller| caller.end.is_some() && !caller.is_done) {
            caller.ask(vec![b"ECHO".to_vec(), b"the end".to_vec()], now);
        }
    }

    fn until_answered(&mut self) -> Result<(), String> {
        let until = self.now() + ANSWERED_WITHIN;
        loop {
            self.turn()?;
            let late = self.callers.iter().position(|caller| caller.end.is_some() && !caller.is_content());
            let Some(late) = late.or_else(|| (!matches!(self.affair, Affair::None)).then_some(0)) else {
                return Ok(());
            };
            let queue = format!("{}q", self.callers[late].prefix());
            let is_empty = (0..DATABASES).any(|database| self.nodes[self.primary].left_in(database, &queue) == 0);
            if self.callers[late].waits_for_its_queue() && is_empty {
                self.push(late);
            }
            if self.now() > until {
                let caller = &self.callers[late];
                return Err(format!("{} waits for what does not come: {}", caller.prefix(), caller.wishes()));
            }
        }
    }

    /// Lets time pass.
    fn rest(&mut self, span: Duration) -> Result<(), String> {
        let until = self.now() + span;
        while self.now() < until {
            self.turn()?;
        }
        Ok(())
    }

    fn everybody_goes(&mut self) -> Result<(), String> {
        for index in 0..self.callers.len() {
            if self.callers[index].end.is_some() {
                self.leave(index, "the scene is over");
            }
        }
        let (until, mut deeds) = (self.now() + FORGOTTEN_AFTER, 0);
        self.readers.clear();
        self.enforce();
        while self.now() < until {
            self.turn()?;
            // Nobody has anything to do but what is done now and then.
            let now = self.net.borrow().deeds;
            if now == deeds {
                self.net.borrow_mut().now += Duration::from_millis(400);
            }
            deeds = now;
        }
        let seen = self.exchange.inspect();
        if seen != Inspection::default() {
            return Err(format!("something is left when all are gone: {seen:?}"));
        }
        let open = self.instance.connected().open;
        if open > 0 { Err(format!("{open} clients are counted, and none is there")) } else { Ok(()) }
    }
}
