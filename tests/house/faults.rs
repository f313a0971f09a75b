//! Faults.
use crate::client::Client;
use crate::server::Data;

#[test]
fn hello() {
    let data = Data::with_users(["romeo", "juliet"]);
    let server = data.start();
    println!("{}", server.said);
    let mut juliet = Client::online(server.plain, "juliet", "balcony");
    let mut romeo = Client::online(server.plain, "romeo", "orchard");
    romeo.send("<message to='juliet@localhost' type='chat' id='1'><body>hi</body></message>");
    println!("{}", juliet.expect("<body>hi"));
    let mut tls = Client::direct_tls(server.direct_tls, crate::client::trusting(&data.ca())).unwrap();
    tls.login("romeo", crate::client::PASSWORD).unwrap();
    let tls = Client::starttls(server.starttls, crate::client::trusting(&data.ca()));
    assert!(tls.unwrap().certificate().is_some());
}
