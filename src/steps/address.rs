//! The last step: the address of a VM, as its guest agent reports it.
//!
//! - The best address is taken at once, a good one after the settling time or at the time limit.
//! - An agent that lacks the command, or has it disabled, ends the wait at once. Other errors of the agent, and
//!   a VM that is not running, end it after the settling time, because they also occur during a start.
//! - At the time limit the message lists the addresses that the guest has.

use std::time::Duration;

use crate::guests::addresses::{hint_for_agent, listed};
use crate::pve::{Address, Addresses, AgentError, Card, Interface, Reason, Report, addresses};
use crate::say::stage::Step;
use crate::say::vm::Vm;
use crate::settings::ip_from::{Fit, IpFrom, choose, expected};
use crate::settings::setup::{AGENT_OFF, no_agent};
use crate::steps::power::check_console;
use crate::steps::{ActiveStep, Cause, Next, Operation, Stop};
use crate::ui::progress::Activity;
use crate::wait::Poll;

/// Waits for an address that `--ip-from` accepts, or without it for one of the first network card.
pub struct AwaitAddress<'f> {
    from: &'f [IpFrom],
    wait: Option<Wait<'f>>,
}

impl<'f> AwaitAddress<'f> {
    /// Waits for an address from one of these places, preferred one first.
    pub fn new(from: &'f [IpFrom]) -> AwaitAddress<'f> {
        AwaitAddress { from, wait: None }
    }
}

impl<'q> Operation<'q> for AwaitAddress<'_> {
    fn next(&mut self, active: &mut ActiveStep) -> Result<Next<'q>, Stop> {
        let budget = active.budget();
        let wait = if let Some(wait) = &mut self.wait {
            wait
        } else {
            let wait = Wait::begin(self.from, active)?;
            active.announce(&Activity::AwaitingAddress);
            self.wait.insert(wait)
        };
        let report = active.watch(|pve, vm| pve.interfaces(&vm.node, vm.vmid))?;
        let report = report.map_err(|error| active.request_failed(error))?;
        match wait.judge(report, budget.clock.elapsed()) {
            Poll::NotYet => Ok(Next::Wait),
            Poll::Done(Ended::Found(addresses)) => {
                // Check that the VM was not replaced.
                active.read_config_again()?;
                active.existing_mut().addresses = Some(addresses);
                Ok(Next::Done)
            }
            Poll::Done(Ended::Failed(cause)) => Err(active.gone_or(cause)),
            // It may have been migrated. The wait continues on its new node.
            Poll::Done(Ended::VmMissing) => {
                active.read_config_again()?;
                Ok(Next::Wait)
            }
        }
    }

    fn at_time_limit(&mut self, active: &mut ActiveStep, cause: Cause) -> Result<(), Cause> {
        let Some(wait) = self.wait.take() else {
            return Err(cause);
        };
        if let Some((addresses, _)) = wait.good {
            active.existing_mut().addresses = Some(addresses);
            return Ok(());
        }
        let seconds = active.budget().seconds();
        let (last, hint) = match cause {
            Cause::TimedOut { last: None, .. } => wait.last.unzip(),
            Cause::TimedOut { last, .. } => (last, None),
            Cause::Request { source } => (Some(source.to_string()), None),
            cause => return Err(cause),
        };
        Err(Cause::TimedOut {
            seconds,
            last,
            hint: hint.flatten(),
        })
    }
}

/// How a wait ends.
enum Ended {
    Found(Addresses),
    Failed(Cause),
    VmMissing,
}

/// A wait for an address.
struct Wait<'f> {
    from: &'f [IpFrom],
    cards: Vec<Card>,
    settling_time: Duration,
    /// A good address, and since when there has been one.
    good: Option<(Addresses, Duration)>,
    /// Since when each answer has been one that ends the wait after the settling time.
    failing_since: Option<Duration>,
    /// Why the last poll gave no address, and what to do about it.
    last: Option<(String, Option<String>)>,
    /// How to continue after a failure.
    resume: &'static str,
    /// What to do about a VM whose guest agent is not enabled.
    agent_off: String,
}

impl<'f> Wait<'f> {
    fn begin(from: &'f [IpFrom], active: &mut ActiveStep) -> Result<Wait<'f>, Stop> {
        let config = active.config()?;
        let existing = active.existing();
        let wait = Wait {
            from,
            cards: config.cards(),
            settling_time: active.budget().settling_time(),
            good: None,
            failing_since: None,
            last: None,
            resume: existing.resume(),
            agent_off: match existing.named_by {
                None => AGENT_OFF.to_owned(),
                Some(_) => how_to_enable_agent(&existing.vm),
            },
        };
        if config.has_agent() {
            Ok(wait)
        } else {
            Err(wait.without_agent().into())
        }
    }

    /// Whether a report ends the wait. `now` is the time since the run began.
    fn judge(&mut self, report: Report, now: Duration) -> Poll<Ended> {
        match report {
            Report::Interfaces(interfaces) => {
                self.failing_since = None;
                self.judge_interfaces(&interfaces, now)
            }
            Report::Refused(error) => self.judge_error(&error, now),
            Report::Unavailable(message) => self.judge_message(message, now),
        }
    }

    fn judge_interfaces(&mut self, interfaces: &[Interface], now: Duration) -> Poll<Ended> {
        let ips = addresses(interfaces, &self.cards);
        let chosen = choose(self.from, &self.cards, &ips);
        let (fit, ip) = match chosen {
            Some((fit @ (Fit::Best | Fit::Good), address)) => (fit, address.ip),
            Some((Fit::Unexpected, _)) | None => {
                self.good = None;
                let (reason, hint) = self.what_is_missing(&ips, chosen.is_some());
                return self.not_yet(reason, &hint);
            }
        };
        let since = self.good.as_ref().map_or(now, |(_, since)| *since);
        let found = Addresses { ip: Some(ip), ips };
        if fit == Fit::Best || now >= since + self.settling_time {
            return Poll::Done(Ended::Found(found));
        }
        self.good = Some((found, since));
        Poll::NotYet
    }

    fn judge_error(&mut self, error: &AgentError, now: Duration) -> Poll<Ended> {
        let hint = hint_for_agent(error);
        let reason = format!("guest agent error: {}", error.message);
        let is_final = match error.reason {
            Reason::Disabled | Reason::Unknown => true,
            Reason::Frozen => false,
            Reason::Failed => self.is_failing_for_long(now),
        };
        if !is_final {
            return self.not_yet(reason, hint);
        }
        Poll::Done(Ended::Failed(Cause::State {
            message: format!("{}: {reason}", Step::Address.failed()),
            hint: format!("{hint}; then {}", self.resume),
        }))
    }

    /// The server's message if it could not ask the agent.
    fn judge_message(&mut self, message: String, now: Duration) -> Poll<Ended> {
        if message.starts_with("No QEMU guest agent configured") {
            return Poll::Done(Ended::Failed(self.without_agent()));
        }
        let is_off = message.starts_with("VM ") && message.ends_with(" is not running");
        let is_missing = message.starts_with("Configuration file");
        if !is_off && !is_missing {
            self.failing_since = None;
        } else if self.is_failing_for_long(now) {
            self.failing_since = None;
            return Poll::Done(if is_missing {
                Ended::VmMissing
            } else {
                Ended::Failed(Cause::State {
                    message: "it is not running, so its guest agent cannot report an address"
                        .to_owned(),
                    hint: check_console(self.resume),
                })
            });
        }
        let hint = "qemu-guest-agent must be installed and running in the guest";
        self.not_yet(message, hint)
    }

    fn is_failing_for_long(&mut self, now: Duration) -> bool {
        now >= *self.failing_since.get_or_insert(now) + self.settling_time
    }

    fn not_yet(&mut self, reason: String, hint: &str) -> Poll<Ended> {
        let resume = self.resume;
        let hint = format!("{hint}; if the VM is slow to start, {resume}, with a longer --timeout");
        self.last = Some((reason, Some(hint)));
        Poll::NotYet
    }

    /// What the guest has instead of what is expected, and what to do about it.
    fn what_is_missing(&self, ips: &[Address], is_unexpected: bool) -> (String, String) {
        let expected = expected(self.from, &self.cards);
        let Some(Address { ip, .. }) = ips.first() else {
            return (
                format!(
                    "the guest has no address that other machines can reach; expected {expected}"
                ),
                "check the VM's bridge and the DHCP server on it, or the address that cloud-init sets"
                    .to_owned(),
            );
        };
        let has = listed(ips);
        let restart = if is_unexpected {
            "cloud-init sets the address when the VM starts, so a VM that was already running needs a \
             restart; "
        } else {
            ""
        };
        (
            format!("the guest has {has}; expected {expected}"),
            format!("{restart}--ip-from {ip} accepts that address"),
        )
    }

    fn without_agent(&self) -> Cause {
        let first = self.cards.first();
        Cause::State {
            message: format!(
                "it {}",
                no_agent(first.and_then(|card| card.static_address(None)))
            ),
            hint: format!("{}; {}", self.agent_off, self.resume),
        }
    }
}

/// How to enable the guest agent of a VM that exists.
fn how_to_enable_agent(Vm { vmid, node, .. }: &Vm) -> String {
    format!(
        "if it is installed in the guest, on node '{node}': qm set {vmid} --agent 1; then stop and start the VM"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::say::vm::RESUME;
    use rstest::rstest;
    use serde_json::json;

    const MACS: [&str; 2] = ["bc:24:11:00:00:65", "bc:24:11:00:01:65"];

    /// For a VM with two network cards; `ipconfig` is what cloud-init configures for the first.
    fn wait<'f>(from: &'f [IpFrom], ipconfig0: &str) -> Wait<'f> {
        let card = |key: &str, mac: &str, ipconfig: &str| Card {
            key: key.to_owned(),
            mac: mac.to_owned(),
            ipconfig: ipconfig.to_owned(),
        };
        Wait {
            from,
            cards: vec![card("net0", MACS[0], ipconfig0), card("net1", MACS[1], "")],
            settling_time: Duration::from_secs(10),
            good: None,
            failing_since: None,
            last: None,
            resume: RESUME,
            agent_off: AGENT_OFF.to_owned(),
        }
    }

    /// A report from a text: `eth0 10.0.0.5, docker0 172.17.0.1`, or the name of an error.
    fn report(text: &str) -> Report {
        let refused = |class: &str, message: &str| {
            let error = json!({"class": class, "desc": message});
            Report::from(json!({ "error": error }))
        };
        match text {
            "off" => Report::Unavailable("VM 101 is not running".to_owned()),
            "silent" => Report::Unavailable("QEMU guest agent is not running".to_owned()),
            "gone" => Report::Unavailable("Configuration file 'x' does not exist".to_owned()),
            "no agent" => Report::Unavailable("No QEMU guest agent configured".to_owned()),
            "disabled" => refused("CommandNotFound", "Command x has been disabled"),
            "unknown" => refused("CommandNotFound", "The command x has not been found"),
            "frozen" => refused("CommandNotFound", "x has been disabled: frozen state"),
            "failed" => refused("GenericError", "failed to get MAC address of ens18"),
            list => Report::from(json!(
                list.split_terminator(", ")
                    .map(|entry| {
                        let (name, address) = entry.split_once(' ').unwrap();
                        let mac = match name {
                            "eth0" => MACS[0],
                            "eth1" => MACS[1],
                            _ => "02:42:00:00:00:01",
                        };
                        json!({"name": name, "hardware-address": mac,
                    "ip-addresses": [{"ip-address": address}]})
                    })
                    .collect::<Vec<_>>()
            )),
        }
    }

    /// The number of the poll that ended the wait, and how it ended. An interval is 2 s.
    fn ended(mut wait: Wait, story: &[(usize, &str)]) -> Option<(usize, String)> {
        let polls = story.iter().flat_map(|(times, text)| [text].repeat(*times));
        for (poll, text) in polls.enumerate() {
            let now = Duration::from_secs(2) * u32::try_from(poll).unwrap();
            if let Poll::Done(ended) = wait.judge(report(text), now) {
                let result = match ended {
                    Ended::Found(found) => found.ip.unwrap().to_string(),
                    Ended::Failed(Cause::State { message, .. }) => message,
                    Ended::Failed(cause) => panic!("{cause:?}"),
                    Ended::VmMissing => "missing".to_owned(),
                };
                return Some((poll + 1, result));
            }
        }
        None
    }

    #[track_caller]
    fn assert_ended(story: &[(usize, &str)], expected: Option<(usize, &str)>) {
        let seen = ended(wait(&[], ""), story);
        let seen = seen.as_ref().map(|(poll, result)| (*poll, &**result));
        assert_eq!(seen, expected);
    }

    #[rstest]
    #[case::at_once(&[(1, "eth0 10.0.0.5")], Some((1, "10.0.0.5")))]
    #[case::the_first_card_two_polls_later(
        &[(2, "eth1 10.1.0.5"), (1, "eth1 10.1.0.5, eth0 10.0.0.5")],
        Some((3, "10.0.0.5"))
    )]
    #[case::another_card_after_the_settling_time(&[(6, "eth1 10.1.0.5")], Some((6, "10.1.0.5")))]
    #[case::not_before_the_settling_time(&[(5, "eth1 10.1.0.5")], None)]
    #[case::ipv6_of_the_first_card_after_the_settling_time(
        &[(3, "eth1 10.1.0.5"), (3, "eth1 10.1.0.5, eth0 2001:db8::5")],
        Some((6, "2001:db8::5"))
    )]
    #[case::an_agent_that_restarts_meanwhile(
        &[(3, "eth1 10.1.0.5"), (3, "silent"), (1, "eth1 10.1.0.5")],
        Some((7, "10.1.0.5"))
    )]
    #[case::an_address_that_went_away(
        &[(5, "eth1 10.1.0.5"), (1, ""), (5, "eth1 10.1.0.5")],
        None
    )]
    #[case::never_a_bridge_inside_the_guest(&[(20, "docker0 172.17.0.1")], None)]
    #[case::once_the_agent_runs(&[(20, "silent"), (1, "eth0 10.0.0.5")], Some((21, "10.0.0.5")))]
    fn a_good_address_is_taken_if_no_better_one_appears(
        #[case] story: &[(usize, &str)],
        #[case] expected: Option<(usize, &str)>,
    ) {
        assert_ended(story, expected);
    }

    #[rstest]
    #[case::disabled(
        &[(1, "disabled")],
        Some((1, "its address is unknown: guest agent error: Command x has been disabled"))
    )]
    #[case::too_old(
        &[(1, "unknown")],
        Some((1, "its address is unknown: guest agent error: The command x has not been found"))
    )]
    #[case::frozen_for_a_backup(&[(20, "frozen"), (1, "eth0 10.0.0.5")], Some((21, "10.0.0.5")))]
    #[case::an_error_that_passes(&[(5, "failed"), (1, "eth0 10.0.0.5")], Some((6, "10.0.0.5")))]
    #[case::an_error_that_stays(
        &[(6, "failed")],
        Some((6, "its address is unknown: guest agent error: failed to get MAC address of ens18"))
    )]
    #[case::off_for_a_moment(&[(5, "off"), (5, "silent"), (5, "off")], None)]
    #[case::missing(&[(6, "gone")], Some((6, "missing")))]
    #[case::missing_for_a_moment(&[(5, "gone"), (1, "eth0 10.0.0.5")], Some((6, "10.0.0.5")))]
    #[case::off(&[(6, "off")], Some((6, "it is not running, so its guest agent cannot report an address")))]
    #[case::without_agent(
        &[(1, "silent"), (1, "no agent")],
        Some((2, "it has its guest agent disabled, and only the agent reports an address"))
    )]
    fn a_permanent_error_ends_the_wait(
        #[case] story: &[(usize, &str)],
        #[case] expected: Option<(usize, &str)>,
    ) {
        assert_ended(story, expected);
    }

    const SLOW: &str = "; if the VM is slow to start, run the same command with --ensure to resume, with a longer \
                        --timeout";

    #[rstest]
    #[case::none(
        "",
        "",
        "the guest has no address that other machines can reach; expected an address on one of its network \
         cards",
        "check the VM's bridge and the DHCP server on it, or the address that cloud-init sets"
    )]
    #[case::a_bridge_inside_the_guest(
        "",
        "docker0 172.17.0.1, wg0 10.8.0.2",
        "the guest has 172.17.0.1 (docker0), 10.8.0.2 (wg0); expected an address on one of its network \
         cards",
        "--ip-from 172.17.0.1 accepts that address"
    )]
    #[case::another_than_the_static_one(
        "ip=10.0.0.5/24,gw=10.0.0.1",
        "eth0 10.0.0.77, docker0 172.17.0.1",
        "the guest has 10.0.0.77 (net0), 172.17.0.1 (docker0); expected 10.0.0.5, which ipconfig0 sets",
        "cloud-init sets the address when the VM starts, so a VM that was already running needs a restart; \
         --ip-from 10.0.0.77 accepts that address"
    )]
    fn addresses_that_are_not_accepted_are_listed(
        #[case] ipconfig0: &str,
        #[case] reported: &str,
        #[case] reason: &str,
        #[case] hint: &str,
    ) {
        let mut wait = wait(&[], ipconfig0);
        assert!(matches!(
            wait.judge(report(reported), Duration::ZERO),
            Poll::NotYet
        ));
        assert_eq!(
            wait.last,
            Some((reason.to_owned(), Some(format!("{hint}{SLOW}"))))
        );
    }

    #[test]
    fn only_eight_addresses_are_listed() {
        let many: Vec<String> = (1..=10).map(|n| format!("veth{n} 172.17.0.{n}")).collect();
        let mut wait = wait(&[], "");
        assert!(matches!(
            wait.judge(report(&many.join(", ")), Duration::ZERO),
            Poll::NotYet
        ));
        let (reason, _) = wait.last.unwrap();
        assert!(
            reason.contains("172.17.0.8 (veth8) and 2 more; expected"),
            "{reason}"
        );
    }
}
