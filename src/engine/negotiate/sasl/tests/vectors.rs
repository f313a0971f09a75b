//! The published conversations, byte for byte.

use super::super::credentials::{Keys, single};
use super::super::scram::First;
use super::*;

struct Conversation {
    mechanism: Mechanism,
    offered: Offered,
    salt: &'static str,
    server_nonce: &'static str,
    client_first: &'static str,
    server_first: &'static str,
    client_final: &'static str,
    server_final: &'static str,
}

fn replay(conversation: Conversation) {
    let hash = conversation.mechanism.hash().unwrap();
    let salt = STANDARD.decode(conversation.salt).unwrap();
    let credentials = single(hash, Keys::derive(hash, "pencil", &salt, 4096));
    let first = First::read_with(
        conversation.mechanism,
        hash,
        &conversation.offered,
        conversation.server_nonce,
        conversation.client_first.as_bytes(),
    )
    .unwrap();
    assert_eq!(first.account.to_string(), "user@house.example");
    let (server_first, challenged) = first.challenge(Some(&credentials), &fake());
    assert_eq!(std::str::from_utf8(&server_first).unwrap(), conversation.server_first);
    let (account, additional) = challenged.finish(conversation.client_final.as_bytes()).unwrap();
    assert_eq!(account.to_string(), "user@house.example");
    assert_eq!(additional.unwrap(), conversation.server_final.as_bytes());
}

fn plainly(mechanism: Mechanism) -> Offered {
    Offered::new(domain(), &[mechanism], vec![], None).without_downgrade_protection()
}

#[test]
fn rfc5802_section_5_scram_sha_1() {
    replay(Conversation {
        mechanism: Mechanism::ScramSha1,
        offered: plainly(Mechanism::ScramSha1),
        salt: "QSXCR+Q6sek8bf92",
        server_nonce: "3rfcNHYJY1ZVvWVs7j",
        client_first: "n,,n=user,r=fyko+d2lbbFgONRv9qkxdawL",
        server_first: "r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,s=QSXCR+Q6sek8bf92,i=4096",
        client_final: "c=biws,r=fyko+d2lbbFgONRv9qkxdawL3rfcNHYJY1ZVvWVs7j,p=v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
        server_final: "v=rmF9pqV8S7suAoZWja4dJRkFsKQ=",
    });
}

#[test]
fn rfc7677_section_3_scram_sha_256() {
    replay(Conversation {
        mechanism: Mechanism::ScramSha256,
        offered: plainly(Mechanism::ScramSha256),
        salt: "W22ZaJ0SNY7soEsUEjb6gQ==",
        server_nonce: "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
        client_first: "n,,n=user,r=rOprNGfwEbeRWgbNEkqO",
        server_first: "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096",
        client_final: "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
        server_final: "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
    });
}

fn fake_binding() -> Vec<ChannelBinding> {
    [BindingKind::TlsServerEndPoint, BindingKind::TlsExporter]
        .map(|kind| ChannelBinding { kind, data: b"THIS IS FAKE CB DATA".to_vec() })
        .to_vec()
}

fn sha_1_with_binding(tls: TlsVersion) -> Offered {
    let mechanisms = [Mechanism::ScramSha1, Mechanism::ScramSha1Plus];
    Offered::new(domain(), &mechanisms, fake_binding(), Some(tls))
}

/// XEP-0515's example also contains XEP-0474's `h`; its proof covers both attributes, so this replays both documents.
#[test]
fn xep0474_and_xep0515_full_example() {
    replay(Conversation {
        mechanism: Mechanism::ScramSha1Plus,
        offered: sha_1_with_binding(TlsVersion::V1_3),
        salt: "QSXCR+Q6sek8bf92",
        server_nonce: "a09117a6-ac50-4f2f-93f1-93799c2bddf6",
        client_first: "p=tls-exporter,,n=user,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6",
        server_first: "r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,s=QSXCR+Q6sek8bf92,i=4096,h=G6k/rBLDqgOhRRaCuuatSDFkJ08=,t=0304",
        client_final: "c=cD10bHMtZXhwb3J0ZXIsLFRISVMgSVMgRkFLRSBDQiBEQVRB,r=12C4CD5C-E38E-4A98-8F6D-15C38F51CCC6a09117a6-ac50-4f2f-93f1-93799c2bddf6,p=KHUfN8dSy1K95crT4D5y1ItLJfs=",
        server_final: "v=3w34ZIMVRkx2f2Ozb3/ecRPVdv4=",
    });
}
