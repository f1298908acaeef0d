//! The requests for the VM: what it is created from, with which VMID, and what the answer means.

use super::attempt::{Attempt, Creation, View};
use super::decide::{Namesake, RequestOutcome, StopReason};
use super::failure::{Doubt, not_read};
use super::fit::{FittingTemplate, check_template};
use super::import::ImageSpec;
use super::import::download::fetch;
use super::import::place::{Place, find_place};
use super::spec::Method;
use crate::ledger::{ClonedFrom, Event, ImportedFrom, Intent, Mode, Source};
use crate::pve::types::{CloneOptions, Guest, Node, Vmid};
use crate::pve::{self, Delivery, ImageVolume, Pve};
use crate::say::failure::{Failure, Kind};
use crate::say::stage::Stage;
use crate::say::vm::Vm;

/// A VM to be requested.
pub struct Planned<'r> {
    /// Its VMID.
    pub vmid: Vmid,
    /// The request.
    pub request: Request<'r>,
}

/// A request for a VM.
pub enum Request<'r> {
    /// A clone of this template.
    Clone(Guest, &'r CloneOptions),
    /// An import on this node.
    Import(Node, ImportedFrom, &'r ImageSpec),
}

impl<'r> Attempt<'r> {
    /// Finds what the VM is created from, and `--vmid` or a free VMID. `None` if that took time, so that the
    /// state has to be observed again.
    pub fn plan(&mut self) -> Result<Option<Planned<'r>>, Failure> {
        let may_exist = matches!(
            self.namesake,
            Namesake::MayBeOffline | Namesake::MayBeHidden
        );
        if may_exist && self.is_first_note("hidden namesake") {
            // With --vmid, another VM of the name is accepted.
            let (name, unread) = (&self.run.spec.name, self.unread());
            let warning = format!("another VM may be named '{name}': {unread}");
            self.run.warn(&warning);
        }
        let run = self.run;
        let request = match &run.spec.method {
            Method::Clone { template, options } => self.plan_clone(template, options)?,
            Method::Import(image) => match self.plan_import(image)? {
                Some(request) => request,
                None => return Ok(None),
            },
        };
        let vmid = match run.spec.vmid {
            Some(vmid) => vmid,
            None => self.free_vmid()?,
        };
        self.creation = Creation::default();
        self.view = View::default();
        Ok(Some(Planned { vmid, request }))
    }

    fn plan_clone(
        &mut self,
        template: &str,
        options: &'r CloneOptions,
    ) -> Result<Request<'r>, Failure> {
        let template = self.find_template(template, options)?;
        self.check_template(&template)?;
        Ok(Request::Clone(template, options))
    }

    /// `None` if the image had to be downloaded: other users may have changed anything in that time.
    fn plan_import(&mut self, image: &'r ImageSpec) -> Result<Option<Request<'r>>, Failure> {
        let place = self.place(image)?;
        let volume = image.volume(&place.image_storage);
        if self.fetch_image(image, &place.node, &volume)? {
            return Ok(None);
        }
        let from = ImportedFrom::new(volume, image, place.storage);
        Ok(Some(Request::Import(place.node, from, image)))
    }

    /// Makes sure that the image is on its storage, once in a run. Returns whether that took time.
    fn fetch_image(
        &mut self,
        image: &ImageSpec,
        node: &Node,
        volume: &ImageVolume,
    ) -> Result<bool, Failure> {
        if self.image.as_ref() == Some(volume) {
            return Ok(false);
        }
        let is_vm_pending = self.pending_request().is_some();
        let has_taken_time = fetch(self.run, image, node, volume, is_vm_pending)?;
        self.image = Some(volume.clone());
        Ok(has_taken_time)
    }

    /// Where the template goes, found once in a run.
    pub fn place(&mut self, image: &ImageSpec) -> Result<Place, Failure> {
        if let Some(place) = &self.place {
            return Ok(place.clone());
        }
        let place = find_place(self.run.server, &image.requested_place())?;
        self.place = Some(place.clone());
        Ok(place)
    }

    /// Prepares another request for the VM of the record. An import repeats the recorded one. `None` if its image
    /// had been removed since then, so that it was downloaded again.
    pub fn plan_again(&mut self, intent: Intent) -> Result<Option<Planned<'r>>, Failure> {
        let vmid = intent.vmid;
        let request = match (&self.run.spec.method, intent.source) {
            (Method::Clone { template, options }, _) => {
                let planned = self.plan_clone(template, options);
                planned.map_err(|error| self.before_resuming(error))?
            }
            (Method::Import(image), Source::Image(from)) => {
                if self.fetch_image(image, &intent.node, &from.volume)? {
                    return Ok(None);
                }
                Request::Import(intent.node, *from, image)
            }
            (Method::Import(_), source) => {
                let other = StopReason::OtherRequest(Intent { source, ..intent });
                return Err(self.stop_failure(other));
            }
        };
        Ok(Some(Planned { vmid, request }))
    }

    /// Requests the VM.
    pub fn request(&mut self, planned: &Planned) -> Result<(), Failure> {
        let run = self.run;
        let Planned { vmid, request } = planned;
        let (node, source) = match request {
            Request::Clone(template, options) => {
                let from = ClonedFrom {
                    template: template.vmid,
                    template_name: template.name.clone(),
                    mode: Mode::of(options),
                    pool: options.pool.clone(),
                };
                (run.node_for(template), Source::Template(from))
            }
            Request::Import(node, from, _) => (node, Source::Image(Box::new(from.clone()))),
        };
        let vm = run.vm(*vmid, node);
        self.journal.write_intent(Intent {
            vmid: *vmid,
            node: node.clone(),
            source,
            storage: run.spec.storage().cloned(),
            target: run.spec.target().cloned(),
            hosts: run.hosts.clone(),
            growth: self.growth.clone().unwrap_or_default(),
        })?;
        self.creation.upid = None;
        if self.creation.has_died() {
            self.creation.doubt = None;
        }
        self.creation.warnings.clear();
        let result = run.server.ask_for_change(|pve| match request {
            Request::Clone(template, options) => {
                let (node, template) = (&template.node, template.vmid);
                pve.clone_vm(node, template, *vmid, &vm.name, options)
            }
            Request::Import(node, from, image) => {
                let options = image.options(from, &run.spec.setup.settings);
                let options = options.iter().map(|(key, value)| (&key[..], &value[..]));
                pve.create_vm(node, *vmid, &vm.name, &options.collect::<Vec<_>>())
            }
        });
        // The server may repeat what it was sent.
        let settings = &run.spec.setup.settings;
        let result = result.map_err(|error| error.map_message(|text| settings.masked_in(text)));
        // The time for which the VMID has been free starts now, not before the request.
        self.view = View::default();
        let error = match result {
            Ok(upid) => {
                let stage = Stage::Creating(vm, upid.clone());
                self.journal.write(Event::Upid(upid.clone()), stage);
                self.creation.upid = Some(upid);
                self.creation.is_polled = false;
                self.creation.is_from_earlier_run = false;
                self.creation.outcome = RequestOutcome::Unknown;
                return Ok(());
            }
            Err(error) => error,
        };
        self.not_accepted(&vm, error);
        Ok(())
    }

    fn not_accepted(&mut self, vm: &Vm, error: pve::Error) {
        self.creation.outcome = match &error {
            _ if error.delivery() == Delivery::Unknown => {
                let vmid = vm.vmid;
                if self.is_first_note(format!("lost answer {vmid}")) {
                    self.run.progress().note(&format!(
                        "No answer to the {} request ({error}); checking VM {vmid}...",
                        self.run.spec.request_noun()
                    ));
                }
                self.creation.undecided = true;
                self.creation.doubt = Some(Doubt::Lost {
                    what: self.run.spec.request_noun(),
                    why: Box::new(error),
                });
                RequestOutcome::Unknown
            }
            pve::Error::Refused { message, .. } => {
                let outcome = self.outcome_of(message);
                outcome.unwrap_or_else(|| RequestOutcome::Refused(Box::new(error)))
            }
            pve::Error::NoQuorum {
                is_another_left: false,
                ..
            } => RequestOutcome::Refused(Box::new(error)),
            _ if self.creation.undecided => RequestOutcome::Unknown,
            pve::Error::NoQuorum { .. } => {
                self.template = None;
                self.growth = None;
                self.place = None;
                self.image = None;
                RequestOutcome::NoQuorum
            }
            _ => RequestOutcome::Refused(Box::new(error)),
        };
    }

    /// Checks the template and resolves relative sizes, unless that was done before.
    fn check_template(&mut self, template: &Guest) -> Result<(), Failure> {
        if self.growth.is_none() {
            let FittingTemplate { growth, config } = check_template(self.run, template)?;
            (self.growth, self.template_config) = (Some(growth), config);
        }
        Ok(())
    }

    fn free_vmid(&self) -> Result<Vmid, Failure> {
        let next = self.run.server.ask(Pve::next_vmid);
        let next = next.map_err(|source| not_read("cannot get a free VMID", source))?;
        let is_taken = |vmid| self.guests.as_ref().is_some_and(|it| it.is_taken(vmid));
        let vmid = self.picker.next(is_taken, next);
        vmid.ok_or_else(|| Failure::new(Kind::Failed, "no VMID is free"))
    }
}
