//! Requests that a hanging daemon has received, and executes when it wakes up.

use super::answers;
use super::cluster::Cluster;
use super::faults::LateAnswer;
use super::http::Request;
use super::quorum::Here;

/// A request whose client no longer waits.
pub(super) struct Kept {
    request: Request,
    here: Here,
    /// Executed after this many requests in all; otherwise when the daemon is woken.
    due: Option<usize>,
    /// How many requests apart its options are written.
    each: Option<usize>,
}

impl Cluster {
    pub(super) fn keep(&mut self, request: Request, late: &LateAnswer) {
        let due = late.after.map(|more| self.requests + more);
        let each = late.each;
        let here = self.here.clone();
        self.kept.push(Kept {
            request,
            here,
            due,
            each,
        });
    }

    pub(super) fn act_on_due(&mut self) {
        let requests = self.requests;
        self.act_on_kept(|kept| kept.due.is_some_and(|due| due <= requests));
    }

    /// Executes everything in the order received, completely.
    pub(super) fn act_on_all_kept(&mut self) {
        self.act_on_kept(|_| true);
        self.finish_writing(|_| true);
    }

    /// Drops the kept requests, like a daemon that was killed.
    pub(crate) fn forget_kept(&mut self) {
        self.kept.clear();
    }

    fn act_on_kept(&mut self, mut now: impl FnMut(&Kept) -> bool) {
        let kept = std::mem::take(&mut self.kept);
        let (now, later) = kept.into_iter().partition(|kept| now(kept));
        self.kept = later;
        for kept in now {
            let Kept { request, here, .. } = kept;
            self.here = here;
            self.slowly = kept.each;
            let _nobody_hears_it = answers::answer(self, &request);
            self.slowly = None;
        }
    }
}
