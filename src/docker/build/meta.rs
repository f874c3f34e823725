//! What BuildKit wants of a folder, as it says so in the headers of its call.

use tonic::metadata::MetadataMap;

/// See the module's own words.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) folder: String,
    pub(super) include: Vec<String>,
    pub(super) exclude: Vec<String>,
    pub(super) follow: Vec<String>,
}

impl Asked {
    pub(super) fn read(headers: &MetadataMap) -> Self {
        Self {
            folder: values(headers, "dir-name").pop().unwrap_or_default(),
            include: values(headers, "include-patterns"),
            exclude: values(headers, "exclude-patterns"),
            follow: values(headers, "followpaths"),
        }
    }
}

/// Values with letters beyond ASCII come in the encoding of forms, and a
/// second header says so.
fn values(headers: &MetadataMap, key: &str) -> Vec<String> {
    let encoded = headers
        .get(format!("{key}-encoded").as_str())
        .is_some_and(|flag| flag == "1" || flag == "true");
    headers
        .get_all(key)
        .iter()
        .map(|value| {
            let text = String::from_utf8_lossy(value.as_bytes());
            if encoded {
                decoded(&text)
            } else {
                text.into_owned()
            }
        })
        .collect()
}

fn decoded(text: &str) -> String {
    // A form of one unnamed value.
    let form = format!("={}", text.replace('&', "%26").replace('=', "%3D"));
    url::form_urlencoded::parse(form.as_bytes())
        .map(|(_, value)| value.into_owned())
        .next()
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_and_encoded_values_are_read() {
        let mut headers = MetadataMap::new();
        headers.insert("dir-name", "context".parse().expect("a value"));
        headers.append("followpaths", "src+x".parse().expect("a value"));
        headers.append(
            "exclude-patterns",
            "caf%C3%A9+menu%3D1".parse().expect("a value"),
        );
        headers.append("exclude-patterns", "b".parse().expect("a value"));
        headers.insert("exclude-patterns-encoded", "1".parse().expect("a value"));
        assert_eq!(
            Asked::read(&headers),
            Asked {
                folder: "context".to_owned(),
                include: vec![],
                exclude: vec!["café menu=1".to_owned(), "b".to_owned()],
                follow: vec!["src+x".to_owned()],
            }
        );
    }
}
