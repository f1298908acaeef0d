//! Requests that a hanging daemon has received, and executes when it wakes up.

use super::answers;
use super::cluster::Cluster;
use super::faults::LateAnswer;
use super::http::Request;
use super::quorum::Here;

/// A request whose client no longer waits.
pub(super) struct DelayedRequest {
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
        self.delayed_requests.push(DelayedRequest {
            request,
            here,
            due,
            each,
        });
    }

    pub(super) fn act_on_due(&mut self) {
        let requests = self.requests;
        self.act_on_delayed(|delayed| delayed.due.is_some_and(|due| due <= requests));
    }

    /// Executes everything in the order received, completely.
    pub(super) fn act_on_all_delayed(&mut self) {
        self.act_on_delayed(|_| true);
        self.finish_writing(|_| true);
    }

    /// Drops the delayed requests, like a daemon that was killed.
    pub(crate) fn forget_delayed(&mut self) {
        self.delayed_requests.clear();
    }

    fn act_on_delayed(&mut self, mut now: impl FnMut(&DelayedRequest) -> bool) {
        let delayed = std::mem::take(&mut self.delayed_requests);
        let (now, later) = delayed.into_iter().partition(|delayed| now(delayed));
        self.delayed_requests = later;
        for delayed in now {
            let DelayedRequest { request, here, .. } = delayed;
            self.here = here;
            self.slowly = delayed.each;
            let _nobody_hears_it = answers::answer(self, &request);
            self.slowly = None;
        }
    }
}
