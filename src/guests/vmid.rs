//! Which VMID to try next.

use std::collections::BTreeSet;

use crate::pve::types::Vmid;

/// VMIDs that were tried and turned out to belong to other guests.
#[derive(Default)]
pub struct VmidPicker {
    excluded: BTreeSet<Vmid>,
}

impl VmidPicker {
    /// Excludes a VMID from further choices.
    pub fn exclude(&mut self, vmid: Vmid) {
        self.excluded.insert(vmid);
    }

    /// The first VMID from `next` upwards that is neither taken nor excluded. After a loss: a random one of the
    /// first 4, 16, 64 … of them, because the other runs that lost it want the next one too. With these
    /// numbers, none of 32 simultaneous runs loses eight times; with 2, 4, 8 … one run does in every second
    /// test.
    ///
    /// `next` is the server's first free VMID. The server also knows guests that this token cannot see, and
    /// the administrator's range, so no lower VMID is usable.
    pub fn next(&self, is_taken: impl Fn(Vmid) -> bool, next: Vmid) -> Option<Vmid> {
        let is_free = |vmid: &Vmid| !is_taken(*vmid) && !self.excluded.contains(vmid);
        let free = (next.max(Vmid::MIN).0..=Vmid::MAX.0)
            .map(Vmid)
            .filter(is_free);
        let losses = u32::try_from(self.excluded.len())
            .unwrap_or(u32::MAX)
            .min(5);
        let candidates: Vec<Vmid> = free.take(4_usize.pow(losses)).collect();
        fastrand::choice(candidates)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rstest::rstest;

    fn choose(excluded: &[u32], taken: &[u32], next: u32) -> Option<u32> {
        let mut picker = VmidPicker::default();
        for vmid in excluded {
            picker.exclude(Vmid(*vmid));
        }
        let is_taken = |vmid: Vmid| taken.contains(&vmid.0);
        picker.next(is_taken, Vmid(next)).map(|vmid| vmid.0)
    }

    #[rstest]
    #[case::empty_cluster(&[], 100, Some(100))]
    #[case::gap(&[100, 101, 103], 100, Some(102))]
    #[case::no_gap(&[100, 101, 102], 100, Some(103))]
    #[case::below_100_is_ignored(&[1, 5, 99], 100, Some(100))]
    #[case::the_server_knows_of_more_guests(&[100, 105], 103, Some(103))]
    #[case::the_list_is_newer_than_the_proposal(&[100, 101], 101, Some(102))]
    #[case::range_of_the_administrator(&[100], 5000, Some(5000))]
    #[case::the_server_proposes_an_invalid_vmid(&[], 5, Some(100))]
    #[case::nothing_left(&[999_999_999], 999_999_999, None)]
    fn the_first_free_vmid_is_chosen(
        #[case] taken: &[u32],
        #[case] next: u32,
        #[case] expected: Option<u32>,
    ) {
        assert_eq!(choose(&[], taken, next), expected);
    }

    #[rstest]
    #[case::once(&[100], &[103], &[101, 102, 104, 105])]
    #[case::twice(
        &[100, 102], &[],
        &[101, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112, 113, 114, 115, 116, 117]
    )]
    fn runs_that_lost_a_vmid_spread_out(
        #[case] excluded: &[u32],
        #[case] taken: &[u32],
        #[case] expected: &[u32],
    ) {
        fastrand::seed(7);
        let chosen: BTreeSet<u32> = (0..500)
            .filter_map(|_| choose(excluded, taken, 100))
            .collect();
        assert_eq!(chosen, expected.iter().copied().collect());
    }
}
