//! What one stream offers: the single source of the advertised lists and of the checks against them.

use std::borrow::Cow;

use jid::{BareJid, DomainPart};

use super::mechanism::Mechanism;

/// The channel binding types we can compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BindingKind {
    /// RFC 9266: exported keying material of this very TLS session. Offer it on TLS 1.3, or on 1.2 with the extended
    /// master secret (RFC 9266 section 4.2).
    TlsExporter,
    /// RFC 5929 section 4: the hash of the server's certificate. XEP-0440 makes it mandatory for servers.
    TlsServerEndPoint,
}

impl BindingKind {
    /// The name in the IANA registry of channel binding types.
    pub fn name(self) -> &'static str {
        match self {
            BindingKind::TlsExporter => "tls-exporter",
            BindingKind::TlsServerEndPoint => "tls-server-end-point",
        }
    }
}

/// One channel binding of the connection: its type and the bytes both sides must agree on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChannelBinding {
    pub kind: BindingKind,
    pub data: Vec<u8>,
}

/// The TLS version of the connection, for XEP-0515. Older versions are not spoken here.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum TlsVersion {
    V1_2,
    V1_3,
}

impl TlsVersion {
    /// Four lower-case hexadecimal digits (XEP-0515, "Server Sends TLS Version As Hex").
    pub fn hex(self) -> &'static str {
        match self {
            TlsVersion::V1_2 => "0303",
            TlsVersion::V1_3 => "0304",
        }
    }
}

/// What this stream offers to this client in the profile it uses (RFC 6120 or XEP-0388).
///
/// Render `<mechanism/>` from [`Offered::mechanism_names`] and `<channel-binding/>` from [`Offered::binding_types`] and
/// from nothing else: the XEP-0474 hash is computed from the same two lists.
#[derive(Clone, Debug)]
pub struct Offered {
    domain: DomainPart,
    mechanisms: Vec<Mechanism>,
    others: Vec<Cow<'static, str>>,
    bindings: Vec<ChannelBinding>,
    tls: Option<TlsVersion>,
    downgrade_protection: bool,
    stream_from: Option<BareJid>,
}

impl Offered {
    /// `mechanisms` is what the configuration allows here. Whether PLAIN may stand in it without TLS is the caller's
    /// decision (only in development mode). The lists are made consistent, as XEP-0440's business rules demand of us:
    /// no channel binding without TLS, no `-PLUS` without a binding, no binding advertised without a `-PLUS`.
    pub fn new(domain: DomainPart, mechanisms: &[Mechanism], bindings: Vec<ChannelBinding>, tls: Option<TlsVersion>) -> Self {
        let mut bindings = bindings;
        // A binding without data binds nothing.
        bindings.retain(|binding| tls.is_some() && !binding.data.is_empty());
        let wanted = |m: &Mechanism| mechanisms.contains(m) && !(m.binds_channel() && bindings.is_empty());
        let mechanisms: Vec<_> = Mechanism::ALL.into_iter().filter(wanted).collect();
        if !mechanisms.iter().any(|mechanism| mechanism.binds_channel()) {
            bindings.clear();
        }
        Offered { domain, mechanisms, others: Vec::new(), bindings, tls, downgrade_protection: true, stream_from: None }
    }

    /// Adds names that are advertised in the same list but run elsewhere (EXTERNAL, ANONYMOUS). FAST's mechanisms are
    /// left out: they are advertised inside `<fast/>` only (XEP-0484 section 3.1), so they are no part of the list that
    /// XEP-0474 hashes, and clients compute it so.
    pub fn with_others(mut self, names: impl IntoIterator<Item = impl Into<Cow<'static, str>>>) -> Self {
        let names = names.into_iter().map(Into::into);
        self.others = names.filter(|name| !name.starts_with("HT-")).collect();
        self
    }

    /// Who the stream's header says it is from; an authorization identity must say the same (XEP-0388).
    pub fn with_stream_from(mut self, from: Option<BareJid>) -> Self {
        self.stream_from = from;
        self
    }

    /// Leaves the attributes of XEP-0474 and XEP-0515 out of the server's first message, for clients that (against
    /// RFC 5802 section 5.1) do not skip attributes they do not know.
    pub fn without_downgrade_protection(mut self) -> Self {
        self.downgrade_protection = false;
        self
    }

    /// The advertised mechanisms, strongest of ours first.
    pub fn mechanism_names(&self) -> impl Iterator<Item = &str> {
        let own = self.mechanisms.iter().map(|mechanism| mechanism.name());
        own.chain(self.others.iter().map(AsRef::as_ref))
    }

    /// The list of XEP-0440; empty means that the element is not sent at all.
    pub fn binding_types(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.bindings.iter().map(|binding| binding.kind.name())
    }

    /// Is it one of those that are run elsewhere?
    pub fn offers_other(&self, name: &str) -> bool {
        self.others.iter().any(|other| other == name)
    }

    pub fn offers(&self, mechanism: Mechanism) -> bool {
        self.mechanisms.contains(&mechanism)
    }

    pub fn domain(&self) -> &DomainPart {
        &self.domain
    }

    pub fn tls(&self) -> Option<TlsVersion> {
        self.tls
    }

    /// The data of a channel binding, if this connection has it.
    pub fn binding_data(&self, kind: BindingKind) -> Option<&[u8]> {
        self.bindings.iter().find(|binding| binding.kind == kind).map(|binding| binding.data.as_slice())
    }

    pub(super) fn binding(&self, name: &str) -> Option<&ChannelBinding> {
        self.bindings.iter().find(|binding| binding.kind.name() == name)
    }

    pub(super) fn stream_from(&self) -> Option<&BareJid> {
        self.stream_from.as_ref()
    }

    pub(super) fn offers_channel_binding(&self) -> bool {
        !self.bindings.is_empty()
    }

    pub(super) fn protects_from_downgrade(&self) -> bool {
        self.downgrade_protection
    }
}
