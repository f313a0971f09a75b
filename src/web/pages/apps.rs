//! The apps that we name, the ones for the visitor's device first.

use axum::http::{HeaderMap, header};

/// As far as a browser tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Device {
    Android,
    Apple,
    Mac,
    Linux,
    Other,
}

impl Device {
    pub(crate) fn of(asked: &HeaderMap) -> Device {
        let agent = asked.get(header::USER_AGENT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let has = |word| agent.contains(word);
        if has("Android") {
            Device::Android
        } else if has("iPhone") || has("iPad") || has("iPod") {
            Device::Apple
        } else if has("Mac OS X") {
            Device::Mac
        } else if has("Linux") || has("BSD") {
            Device::Linux
        } else {
            Device::Other
        }
    }

    pub(crate) fn is_phone(self) -> bool {
        matches!(self, Device::Android | Device::Apple)
    }
}

struct ClientApp {
    name: &'static str,
    runs_on: &'static str,
    devices: &'static [Device],
    links: &'static [(&'static str, &'static str)],
}

const APPS: &[ClientApp] = &[
    ClientApp {
        name: "Conversations",
        runs_on: "Android",
        devices: &[Device::Android],
        links: &[
            ("Google Play", "https://play.google.com/store/apps/details?id=eu.siacs.conversations"),
            ("F-Droid", "https://f-droid.org/packages/eu.siacs.conversations/"),
        ],
    },
    ClientApp {
        name: "Monal",
        runs_on: "iPhone, iPad, Mac",
        devices: &[Device::Apple, Device::Mac],
        links: &[("App Store", "https://apps.apple.com/app/id317711500"), ("monal-im.org", "https://monal-im.org/")],
    },
    ClientApp {
        name: "Cheogram",
        runs_on: "Android",
        devices: &[Device::Android],
        links: &[
            ("Google Play", "https://play.google.com/store/apps/details?id=com.cheogram.android.playstore"),
            ("F-Droid", "https://f-droid.org/packages/com.cheogram.android/"),
        ],
    },
    ClientApp {
        name: "yaxim",
        runs_on: "Android",
        devices: &[Device::Android],
        links: &[
            ("Google Play", "https://play.google.com/store/apps/details?id=org.yaxim.androidclient"),
            ("F-Droid", "https://f-droid.org/packages/org.yaxim.androidclient/"),
        ],
    },
    ClientApp {
        name: "Siskin IM",
        runs_on: "iPhone, iPad",
        devices: &[Device::Apple],
        links: &[("App Store", "https://apps.apple.com/app/id1153516838")],
    },
    ClientApp {
        name: "Snikket",
        runs_on: "iPhone, iPad",
        devices: &[Device::Apple],
        links: &[("App Store", "https://apps.apple.com/app/id1545164189")],
    },
    ClientApp {
        name: "Gajim",
        runs_on: "Windows, Linux, Mac",
        devices: &[Device::Other, Device::Linux],
        links: &[("gajim.org", "https://gajim.org/download/")],
    },
    ClientApp { name: "Dino", runs_on: "Linux", devices: &[Device::Linux], links: &[("dino.im", "https://dino.im/#download")] },
];

/// HTML. On a phone only what runs there, three to choose from; elsewhere all, since the same account is used on the phone too.
pub(crate) fn list(device: Device) -> String {
    let fits = |app: &&ClientApp| app.devices.contains(&device);
    let mut apps: Vec<&ClientApp> = APPS.iter().filter(fits).collect();
    if !device.is_phone() {
        apps.extend(APPS.iter().filter(|app| !fits(app)));
    }
    let item = |app: &ClientApp| {
        let links: Vec<String> =
            app.links.iter().map(|(name, href)| format!("<a href=\"{href}\" rel=\"noreferrer\">{name}</a>")).collect();
        let (name, runs_on) = (app.name, app.runs_on);
        format!("<li><b>{name}</b> <span>{runs_on}</span> <span class=\"links\">{}</span></li>", links.join(" "))
    };
    format!("<ul class=\"apps\">{}</ul>", apps.into_iter().map(item).collect::<String>())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn device(agent: &str) -> Device {
        let mut asked = HeaderMap::new();
        asked.insert(header::USER_AGENT, agent.parse().expect("a header"));
        Device::of(&asked)
    }

    #[test]
    fn a_phone_is_told_of_three_apps_that_run_there() {
        let android = device("Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 Chrome/131.0 Mobile");
        let iphone = device("Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15");
        assert_eq!((android, iphone), (Device::Android, Device::Apple));
        assert!(list(android).contains("Conversations") && !list(android).contains("Monal"));
        assert!(list(iphone).contains("Monal") && !list(iphone).contains("Gajim"));
        assert_eq!([android, iphone].map(|device| list(device).matches("<li>").count()), [3, 3]);
    }

    #[test]
    fn a_computer_is_told_of_all_its_own_first() {
        let linux = list(device("Mozilla/5.0 (X11; Linux x86_64; rv:132.0) Gecko/20100101 Firefox/132.0"));
        let place = |name: &str| linux.find(name).unwrap_or_else(|| panic!("no {name}"));
        assert!(place("Gajim") < place("Conversations") && place("Dino") < place("Monal"));
        assert_eq!(device("Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7)"), Device::Mac);
        assert_eq!(device("Mozilla/5.0 (Windows NT 10.0; Win64; x64)"), Device::Other);
    }
}
