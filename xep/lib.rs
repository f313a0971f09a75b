//! The extensions of Iris. One room per XEP, one file or folder per room; `ls | grep carbons` and `grep 0280` both hit.
//!
//! A new room is a file and a line in [`ROOMS`]. Everything global (disco, stream features, the table in `README.md`,
//! `conformance/doap.xml`) is made of the cards and doors of this list.

use iris_core::xml::{Build, escape_attr};
use iris_core::{Bounce, Jid, Kind, Reply, Room, Stanza};

pub mod cards;
#[cfg(test)]
mod reached;
#[cfg(test)]
mod testing;

mod xep0004_data_forms;
mod xep0012_last_activity;
mod xep0030_disco;
mod xep0045_muc;
mod xep0048_bookmarks;
mod xep0049_private;
mod xep0050_commands;
mod xep0054_vcard_temp;
mod xep0055_search;
mod xep0059_rsm;
mod xep0060_pubsub;
mod xep0077_registration;
mod xep0082_datetime;
mod xep0084_avatar;
mod xep0092_version;
mod xep0114_components;
mod xep0115_caps;
mod xep0124_bosh;
mod xep0133_administration;
mod xep0153_vcard_avatars;
mod xep0156_alternative_connections;
mod xep0157_contact;
mod xep0160_offline;
mod xep0163_pep;
mod xep0172_nickname;
mod xep0175_anonymous;
mod xep0178_external;
mod xep0185_dialback_keys;
mod xep0186_invisible;
mod xep0191_blocking;
mod xep0198_stream_management;
mod xep0199_ping;
mod xep0202_time;
mod xep0203_delay;
mod xep0206_xmpp_over_bosh;
mod xep0215_external_services;
mod xep0220_dialback;
mod xep0221_form_media;
mod xep0222_public_data;
mod xep0223_private_data;
pub mod xep0227_portable;
mod xep0248_collections;
mod xep0249_direct_invitations;
mod xep0280_carbons;
mod xep0292_vcard4;
mod xep0297_forwarding;
mod xep0307_unique_rooms;
mod xep0313_archive;
mod xep0317_hats;
mod xep0319_idle;
mod xep0334_hints;
mod xep0352_csi;
mod xep0357_push;
mod xep0359_stanza_ids;
pub mod xep0363_upload;
mod xep0368_direct_tls;
pub mod xep0377_reporting;
mod xep0379_pars;
mod xep0386_bind2;
mod xep0388_sasl2;
mod xep0390_caps2;
mod xep0398_avatar_conversion;
mod xep0401_invitations;
mod xep0402_bookmarks;
mod xep0410_self_ping;
mod xep0421_occupant_ids;
mod xep0424_retraction;
mod xep0425_moderation;
mod xep0428_fallback;
mod xep0431_fulltext;
mod xep0433_channel_search;
mod xep0440_channel_bindings;
mod xep0441_archive_preferences;
mod xep0442_pubsub_archive;
mod xep0445_preauth;
mod xep0452_mention_notifications;
mod xep0455_outage;
mod xep0461_replies;
mod xep0463_affiliation_versions;
mod xep0465_public_subscriptions;
mod xep0472_social_feed;
mod xep0474_scram_downgrade;
mod xep0478_stream_limits;
mod xep0480_upgrade;
mod xep0484_fast;
mod xep0485_server_info;
mod xep0486_room_avatars;
mod xep0487_host_meta;
mod xep0488_token_invites;
mod xep0490_displayed_sync;
mod xep0492_chat_notifications;
mod xep0494_client_access;
mod xep0500_slow_mode;
mod xep0502_room_activity;
mod xep0503_spaces;
mod xep0509_pipelining;
mod xep0515_tls_downgrade;

/// Every room, in the order of their numbers: within a step of the stanza path they run in this order.
pub const ROOMS: &[Room] = &[
    xep0004_data_forms::ROOM,
    xep0012_last_activity::ROOM,
    xep0030_disco::ROOM,
    xep0045_muc::ROOM,
    xep0048_bookmarks::ROOM,
    xep0049_private::ROOM,
    xep0050_commands::ROOM,
    xep0054_vcard_temp::ROOM,
    xep0055_search::ROOM,
    xep0059_rsm::ROOM,
    xep0060_pubsub::ROOM,
    xep0077_registration::ROOM,
    xep0082_datetime::ROOM,
    xep0084_avatar::ROOM,
    xep0092_version::ROOM,
    xep0114_components::ROOM,
    xep0115_caps::ROOM,
    xep0124_bosh::ROOM,
    xep0133_administration::ROOM,
    xep0153_vcard_avatars::ROOM,
    xep0156_alternative_connections::ROOM,
    xep0157_contact::ROOM,
    xep0160_offline::ROOM,
    xep0163_pep::ROOM,
    xep0172_nickname::ROOM,
    xep0175_anonymous::ROOM,
    xep0178_external::ROOM,
    xep0185_dialback_keys::ROOM,
    xep0186_invisible::ROOM,
    xep0191_blocking::ROOM,
    xep0198_stream_management::ROOM,
    xep0199_ping::ROOM,
    xep0202_time::ROOM,
    xep0203_delay::ROOM,
    xep0206_xmpp_over_bosh::ROOM,
    xep0215_external_services::ROOM,
    xep0220_dialback::ROOM,
    xep0221_form_media::ROOM,
    xep0222_public_data::ROOM,
    xep0223_private_data::ROOM,
    xep0227_portable::ROOM,
    xep0248_collections::ROOM,
    xep0249_direct_invitations::ROOM,
    xep0280_carbons::ROOM,
    xep0292_vcard4::ROOM,
    xep0297_forwarding::ROOM,
    xep0307_unique_rooms::ROOM,
    xep0313_archive::ROOM,
    xep0317_hats::ROOM,
    xep0319_idle::ROOM,
    xep0334_hints::ROOM,
    xep0352_csi::ROOM,
    xep0357_push::ROOM,
    xep0359_stanza_ids::ROOM,
    xep0363_upload::ROOM,
    xep0368_direct_tls::ROOM,
    xep0377_reporting::ROOM,
    xep0379_pars::ROOM,
    xep0386_bind2::ROOM,
    xep0388_sasl2::ROOM,
    xep0390_caps2::ROOM,
    xep0398_avatar_conversion::ROOM,
    xep0401_invitations::ROOM,
    xep0402_bookmarks::ROOM,
    xep0410_self_ping::ROOM,
    xep0421_occupant_ids::ROOM,
    xep0424_retraction::ROOM,
    xep0425_moderation::ROOM,
    xep0428_fallback::ROOM,
    xep0431_fulltext::ROOM,
    xep0433_channel_search::ROOM,
    xep0440_channel_bindings::ROOM,
    xep0441_archive_preferences::ROOM,
    xep0442_pubsub_archive::ROOM,
    xep0445_preauth::ROOM,
    xep0452_mention_notifications::ROOM,
    xep0455_outage::ROOM,
    xep0461_replies::ROOM,
    xep0463_affiliation_versions::ROOM,
    xep0465_public_subscriptions::ROOM,
    xep0472_social_feed::ROOM,
    xep0474_scram_downgrade::ROOM,
    xep0478_stream_limits::ROOM,
    xep0480_upgrade::ROOM,
    xep0484_fast::ROOM,
    xep0485_server_info::ROOM,
    xep0486_room_avatars::ROOM,
    xep0487_host_meta::ROOM,
    xep0488_token_invites::ROOM,
    xep0490_displayed_sync::ROOM,
    xep0492_chat_notifications::ROOM,
    xep0494_client_access::ROOM,
    xep0500_slow_mode::ROOM,
    xep0502_room_activity::ROOM,
    xep0503_spaces::ROOM,
    xep0509_pipelining::ROOM,
    xep0515_tls_downgrade::ROOM,
];

/// The payload of an iq result.
fn result(xml: Build) -> Reply {
    Reply::Result(String::from_utf8_lossy(&xml.finish()).into_owned())
}

/// The error that answers a stanza, for a session of one's own: a complete stanza, without a `to`. For guards that must not send
/// what they themselves would stop.
fn error_to_sender(stanza: &Stanza, from: &Jid, why: &Bounce) -> String {
    let name = match stanza.kind() {
        Kind::Message => "message",
        Kind::Presence => "presence",
        Kind::Iq | Kind::Other => "iq",
    };
    let mut xml = format!("<{name} from='{}' type='error'", escape_attr(from.as_str()));
    if let Some(id) = stanza.id() {
        xml.push_str(&format!(" id='{}'", escape_attr(&id)));
    }
    xml.push('>');
    why.write(&mut xml);
    xml.push_str(&format!("</{name}>"));
    xml
}

/// The nearest of these domains that this one lies below.
fn nearest_above<'a>(domain: &str, domains: &'a [String]) -> Option<&'a str> {
    let is_above = |above: &&String| domain.strip_suffix(above.as_str()).is_some_and(|rest| rest.ends_with('.'));
    domains.iter().filter(is_above).max_by_key(|above| above.len()).map(String::as_str)
}
