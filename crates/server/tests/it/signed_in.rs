//! A person who signed in, in a browser without a script.

use annals_engine::{NewOrganization, NewPerson, OrganizationRole, Principal, Role};
use reqwest::header::{CONTENT_TYPE, COOKIE, LOCATION, SET_COOKIE};

use crate::support::{TestServer, form};

const PASSWORD: &str = "correct horse battery";
const FORM: &str = "application/x-www-form-urlencoded";

/// A person in a browser.
pub(crate) struct Browser<'s> {
    server: &'s TestServer,
    username: String,
    cookie: String,
}

impl Browser<'_> {
    /// Adds a person and signs them in.
    pub(crate) async fn new<'s>(server: &'s TestServer, username: &str, role: Role) -> Browser<'s> {
        tokio::task::block_in_place(|| {
            let person = NewPerson { username, email: "", name: "", password: PASSWORD, role };
            server.engine.add_person(&Principal::operator(), &person).unwrap();
        });
        Browser::log_in(server, username).await
    }

    /// Signs in somebody who is there.
    pub(crate) async fn log_in<'s>(server: &'s TestServer, username: &str) -> Browser<'s> {
        let body = form(&[("username", username), ("password", PASSWORD)]);
        let request = server.http.post(format!("{}/login", server.url)).header(CONTENT_TYPE, FORM);
        let response = request.body(body).send().await.unwrap();
        assert_eq!(response.status(), 303);
        let cookie = response.headers()[SET_COOKIE].to_str().unwrap();
        let cookie = cookie.split(';').next().unwrap().to_owned();
        Browser { server, username: username.to_owned(), cookie }
    }

    /// What the browser shows for its session.
    pub(crate) fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Makes an organization and the person its auditor; returns its id.
    pub(crate) fn made_auditor_of(&self, organization: &str) -> String {
        let (engine, operator) = (&self.server.engine, Principal::operator());
        tokio::task::block_in_place(|| {
            let new = NewOrganization { name: organization, ..NewOrganization::default() };
            let id = engine.create_organization(&operator, &new).unwrap().id;
            let person = engine.person_named(&operator, &self.username).unwrap();
            engine.add_member(&operator, &id, &person.id, OrganizationRole::Auditor).unwrap();
            id.0
        })
    }

    pub(crate) async fn page(&self, path: &str) -> (u16, String) {
        let request = self.server.http.get(format!("{}{path}", self.server.url));
        let response = request.header(COOKIE, &self.cookie).send().await.unwrap();
        (response.status().as_u16(), response.text().await.unwrap())
    }

    /// Sends a form; returns the status, where it leads, and the page.
    pub(crate) async fn send(&self, path: &str, fields: &[(&str, &str)]) -> (u16, String, String) {
        let request = self.server.http.post(format!("{}{path}", self.server.url));
        let request = request.header(COOKIE, &self.cookie).header(CONTENT_TYPE, FORM).body(form(fields));
        let response = request.send().await.unwrap();
        let location = response.headers().get(LOCATION).map(|value| value.to_str().unwrap().to_owned());
        (response.status().as_u16(), location.unwrap_or_default(), response.text().await.unwrap())
    }

    /// Sends a form that is taken; returns where it leads.
    pub(crate) async fn done(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let (status, location, page) = self.send(path, fields).await;
        assert_eq!(status, 303, "{page}");
        location
    }
}
