//! Somebody else's client against our server: all six SCRAM mechanisms and PLAIN.
//!
//! rsasl 2.3 leaves server attributes it does not know out of the message it signs (against RFC 5802 section 3, where
//! AuthMessage is the message as sent), so it speaks to a server without downgrade protection here.

use std::io::Cursor;
use std::sync::Arc;

use rsasl::callback::{Context, Request, SessionCallback, SessionData};
use rsasl::mechanisms::{plain, scram};
use rsasl::prelude::{Mechname, Registry, SASLClient, SASLConfig, SessionError};
use rsasl::property::{AuthId, AuthzId, ChannelBindings, OverrideCBType};

use super::*;

struct Romeo {
    authcid: &'static str,
    authzid: Option<&'static str>,
    password: &'static str,
    binding: BindingKind,
    binds: bool,
}

/// rsasl leaves the `-PLUS` ones out of its defaults.
static ALL_OF_THEIRS: [rsasl::prelude::Mechanism; 7] = [
    scram::SCRAM_SHA512_PLUS,
    scram::SCRAM_SHA512,
    scram::SCRAM_SHA256_PLUS,
    scram::SCRAM_SHA256,
    scram::SCRAM_SHA1_PLUS,
    scram::SCRAM_SHA1,
    plain::PLAIN,
];

impl SessionCallback for Romeo {
    fn enable_channel_binding(&self) -> bool {
        self.binds
    }

    fn callback(&self, _session: &SessionData, _context: &Context<'_>, request: &mut Request<'_>) -> Result<(), SessionError> {
        let data = match self.binding {
            BindingKind::TlsExporter => EXPORTER,
            BindingKind::TlsServerEndPoint => END_POINT,
        };
        request
            .satisfy::<AuthId>(self.authcid)?
            .satisfy::<rsasl::property::Password>(self.password.as_bytes())?
            .satisfy::<OverrideCBType>(self.binding.name())?
            .satisfy::<ChannelBindings>(data)?;
        if let Some(authzid) = self.authzid {
            request.satisfy::<AuthzId>(authzid)?;
        }
        Ok(())
    }
}

fn romeo() -> Romeo {
    Romeo { authcid: "alice", authzid: None, password: PASSWORD, binding: BindingKind::TlsExporter, binds: false }
}

/// The outcome on our side, after the client has accepted our last message.
fn talk(romeo: Romeo, mechanism: Mechanism) -> Step {
    // Otherwise it says `y` to a mechanism without binding, which is rightly refused.
    let romeo = Romeo { binds: mechanism.binds_channel(), ..romeo };
    let offered = everything().without_downgrade_protection();
    let config: Arc<SASLConfig> =
        SASLConfig::builder().with_registry(Registry::with_mechanisms(&ALL_OF_THEIRS)).with_callback(romeo).unwrap();
    let name = Mechname::parse(mechanism.name().as_bytes()).unwrap();
    let mut client = SASLClient::new(config).start_suggested(&[name]).unwrap();
    let mut out = Cursor::new(Vec::new());
    client.step(None, &mut out).unwrap();
    let initial = out.into_inner();
    let mut step = Exchange::start(mechanism, &offered, NONCE, Some(&initial));
    loop {
        step = match found(step) {
            Step::Challenge(bytes, exchange) => {
                let mut out = Cursor::new(Vec::new());
                client.step(Some(&bytes), &mut out).unwrap();
                exchange.respond(&out.into_inner())
            }
            Step::Success { authcid, account, additional } => {
                if let Some(bytes) = &additional {
                    // Fails if the server's signature is wrong.
                    let state = client.step(Some(bytes), &mut Cursor::new(Vec::new()));
                    assert!(state.unwrap().is_finished(), "{mechanism:?}");
                }
                return Step::Success { authcid, account, additional };
            }
            other => return other,
        };
    }
}

#[test]
fn every_mechanism_lets_the_right_password_in() {
    for mechanism in Mechanism::ALL {
        let (account, additional) = succeeded(talk(romeo(), mechanism));
        assert_eq!(account, "alice@house.example", "{mechanism:?}");
        let signed = additional.is_some_and(|data| data.starts_with("v="));
        assert_eq!(signed, mechanism != Mechanism::Plain);
    }
}

#[test]
fn every_mechanism_keeps_a_wrong_password_out() {
    for mechanism in Mechanism::ALL {
        let romeo = Romeo { password: "wherefore art thou?", ..romeo() };
        assert_eq!(refused(talk(romeo, mechanism)), SaslError::NotAuthorized, "{mechanism:?}");
    }
}

#[test]
fn the_client_chooses_among_the_offered_bindings() {
    for mechanism in Mechanism::ALL.into_iter().filter(|m| m.binds_channel()) {
        let romeo = Romeo { binding: BindingKind::TlsServerEndPoint, ..romeo() };
        assert_eq!(succeeded(talk(romeo, mechanism)).0, "alice@house.example");
    }
}

#[test]
fn an_authzid_that_is_ones_own_address_is_accepted_and_another_is_not() {
    for mechanism in Mechanism::ALL {
        let own = Romeo { authzid: Some("alice@house.example"), ..romeo() };
        assert_eq!(succeeded(talk(own, mechanism)).0, "alice@house.example");
        let other = Romeo { authzid: Some("bob@house.example"), ..romeo() };
        assert_eq!(refused(talk(other, mechanism)), SaslError::InvalidAuthzid);
    }
}
