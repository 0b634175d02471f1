//! The broker's settings for access control, TLS and SASL. A section of [`crate::broker`].

use crate::reason;
use crate::setting::{
    Check, Setting, boolean, class, double, int, list, long, password, short, string,
};

#[rustfmt::skip]
pub(crate) const ACCESS_CONTROL: &[Setting] = &[
    string("authorizer.class.name").default("").fatal(reason::SECURITY)
        .doc("Plugin that decides who may do what."),
    string("super.users").fatal(reason::SECURITY)
        .doc("Principals that may do everything."),
    boolean("allow.everyone.if.no.acl.found").default("false").fatal(reason::SECURITY)
        .doc("Whether a resource without rules is open to everyone."),
    class("principal.builder.class").default("org.apache.kafka.common.security.authenticator.DefaultKafkaPrincipalBuilder").per_broker().fatal(reason::SECURITY)
        .doc("Plugin that names the principal of a connection."),
    long("connections.max.reauth.ms").default("0").fatal(reason::SECURITY)
        .doc("Longest life of an authentication before it must be renewed."),
    password("delegation.token.secret.key").fatal(reason::SECURITY)
        .doc("Key that signs delegation tokens."),
    long("delegation.token.max.lifetime.ms").default("604800000").at_least(1).no_effect(reason::SECURITY_TUNING)
        .doc("Longest life of a delegation token."),
    long("delegation.token.expiry.time.ms").default("86400000").at_least(1).no_effect(reason::SECURITY_TUNING)
        .doc("Life of a delegation token between two renewals."),
    long("delegation.token.expiry.check.interval.ms").default("3600000").at_least(1).no_effect(reason::SECURITY_TUNING)
        .doc("Time between two searches for expired tokens."),
    string("security.providers").fatal(reason::SECURITY)
        .doc("Plugins that supply algorithms."),
];

#[rustfmt::skip]
pub(crate) const TLS: &[Setting] = &[
    string("ssl.client.auth").default("none").one_of(&["required", "requested", "none"]).per_broker().fatal(reason::SECURITY)
        .doc("Whether clients must show a certificate."),
    string("ssl.keystore.type").default("JKS").per_broker().fatal(reason::SECURITY)
        .doc("Format of the key store."),
    string("ssl.keystore.location").per_broker().fatal(reason::SECURITY)
        .doc("File of the key store."),
    password("ssl.keystore.password").per_broker().fatal(reason::SECURITY)
        .doc("Password of the key store."),
    password("ssl.keystore.key").per_broker().fatal(reason::SECURITY)
        .doc("Private key, in PEM."),
    password("ssl.keystore.certificate.chain").per_broker().fatal(reason::SECURITY)
        .doc("Certificates of the private key, in PEM."),
    password("ssl.key.password").per_broker().fatal(reason::SECURITY)
        .doc("Password of the private key."),
    string("ssl.truststore.type").default("JKS").per_broker().fatal(reason::SECURITY)
        .doc("Format of the trust store."),
    string("ssl.truststore.location").per_broker().fatal(reason::SECURITY)
        .doc("File of the trust store."),
    password("ssl.truststore.password").per_broker().fatal(reason::SECURITY)
        .doc("Password of the trust store."),
    password("ssl.truststore.certificates").per_broker().fatal(reason::SECURITY)
        .doc("Trusted certificates, in PEM."),
    string("ssl.protocol").default("TLSv1.3").per_broker().fatal(reason::SECURITY)
        .doc("Preferred TLS version."),
    list("ssl.enabled.protocols").default("TLSv1.2,TLSv1.3").per_broker().fatal(reason::SECURITY)
        .doc("TLS versions that are accepted."),
    list("ssl.cipher.suites").default("").per_broker().fatal(reason::SECURITY)
        .doc("Cipher suites that are accepted; all secure ones where empty."),
    string("ssl.endpoint.identification.algorithm").default("https").per_broker().fatal(reason::SECURITY)
        .doc("How the host name is checked against a certificate; empty does not check."),
    string("ssl.principal.mapping.rules").default("DEFAULT").fatal(reason::SECURITY)
        .doc("Rules that turn a certificate's name into a principal."),
    string("ssl.provider").per_broker().fatal(reason::SECURITY)
        .doc("Plugin that implements TLS."),
    class("ssl.engine.factory.class").per_broker().fatal(reason::SECURITY)
        .doc("Plugin that builds TLS engines."),
    string("ssl.keymanager.algorithm").default("SunX509").per_broker().fatal(reason::SECURITY)
        .doc("Algorithm that picks the key."),
    string("ssl.trustmanager.algorithm").default("PKIX").per_broker().fatal(reason::SECURITY)
        .doc("Algorithm that judges certificates."),
    string("ssl.secure.random.implementation").per_broker().fatal(reason::SECURITY)
        .doc("Source of random numbers."),
    boolean("ssl.allow.dn.changes").default("false").fatal(reason::SECURITY)
        .doc("Whether a new certificate may carry another distinguished name."),
    boolean("ssl.allow.san.changes").default("false").fatal(reason::SECURITY)
        .doc("Whether a new certificate may lack alternative names of the old one."),
];

#[rustfmt::skip]
pub(crate) const SASL: &[Setting] = &[
    list("sasl.enabled.mechanisms").default("GSSAPI").per_broker().fatal(reason::SECURITY)
        .doc("Mechanisms that are offered to clients."),
    string("sasl.mechanism.inter.broker.protocol").default("GSSAPI").per_broker().fatal(reason::SECURITY)
        .doc("Mechanism that brokers use among themselves."),
    string("sasl.mechanism.controller.protocol").default("GSSAPI").fatal(reason::SECURITY)
        .doc("Mechanism that is used towards controllers."),
    password("sasl.jaas.config").per_broker().fatal(reason::SECURITY)
        .doc("Login modules and their options."),
    class("sasl.server.callback.handler.class").fatal(reason::SECURITY)
        .doc("Plugin that checks credentials."),
    class("sasl.client.callback.handler.class").fatal(reason::SECURITY)
        .doc("Plugin that supplies the broker's own credentials."),
    class("sasl.login.class").fatal(reason::SECURITY)
        .doc("Plugin that logs the broker in."),
    class("sasl.login.callback.handler.class").fatal(reason::SECURITY)
        .doc("Plugin that supplies credentials for that login."),
    int("sasl.login.connect.timeout.ms").fatal(reason::SECURITY)
        .doc("Longest wait for a connection to the identity provider."),
    int("sasl.login.read.timeout.ms").fatal(reason::SECURITY)
        .doc("Longest wait for an answer of the identity provider."),
    long("sasl.login.retry.backoff.ms").default("100").fatal(reason::SECURITY)
        .doc("First pause between two tries to log in."),
    long("sasl.login.retry.backoff.max.ms").default("10000").fatal(reason::SECURITY)
        .doc("Longest pause between two tries to log in."),
    double("sasl.login.refresh.window.factor").default("0.8").per_broker().fatal(reason::SECURITY)
        .doc("Share of a credential's life after which it is renewed."),
    double("sasl.login.refresh.window.jitter").default("0.05").per_broker().fatal(reason::SECURITY)
        .doc("Random share added to that."),
    short("sasl.login.refresh.min.period.seconds").default("60").per_broker().fatal(reason::SECURITY)
        .doc("Shortest time between two renewals."),
    short("sasl.login.refresh.buffer.seconds").default("300").per_broker().fatal(reason::SECURITY)
        .doc("Time before expiry that a renewal should leave."),
    int("sasl.server.max.receive.size").default("524288").fatal(reason::SECURITY)
        .doc("Largest message of an authentication in progress."),
    string("sasl.kerberos.service.name").per_broker().fatal(reason::SECURITY)
        .doc("Kerberos name of the broker's service."),
    string("sasl.kerberos.kinit.cmd").default("/usr/bin/kinit").per_broker().fatal(reason::SECURITY)
        .doc("Path of the kinit command."),
    list("sasl.kerberos.principal.to.local.rules").default("DEFAULT").per_broker().fatal(reason::SECURITY)
        .doc("Rules that turn a Kerberos name into a short name."),
    long("sasl.kerberos.min.time.before.relogin").default("60000").per_broker().fatal(reason::SECURITY)
        .doc("Shortest time between two Kerberos logins."),
    double("sasl.kerberos.ticket.renew.jitter").default("0.05").per_broker().fatal(reason::SECURITY)
        .doc("Random share added to the time of renewal."),
    double("sasl.kerberos.ticket.renew.window.factor").default("0.8").per_broker().fatal(reason::SECURITY)
        .doc("Share of a ticket's life after which it is renewed."),
    string("sasl.oauthbearer.jwks.endpoint.url").fatal(reason::SECURITY)
        .doc("Where the keys that sign tokens are published."),
    long("sasl.oauthbearer.jwks.endpoint.refresh.ms").default("3600000").fatal(reason::SECURITY)
        .doc("How often those keys are read again."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.ms").default("100").fatal(reason::SECURITY)
        .doc("First pause after a failed read of the keys."),
    long("sasl.oauthbearer.jwks.endpoint.retry.backoff.max.ms").default("10000").fatal(reason::SECURITY)
        .doc("Longest pause after failed reads of the keys."),
    string("sasl.oauthbearer.token.endpoint.url").fatal(reason::SECURITY)
        .doc("Where the broker gets its own token."),
    list("sasl.oauthbearer.expected.audience").default("").fatal(reason::SECURITY)
        .doc("Audiences one of which a token must name."),
    string("sasl.oauthbearer.expected.issuer").fatal(reason::SECURITY)
        .doc("Issuer that a token must name."),
    int("sasl.oauthbearer.clock.skew.seconds").default("30").fatal(reason::SECURITY)
        .doc("Difference between clocks that is forgiven."),
    string("sasl.oauthbearer.scope").fatal(reason::SECURITY)
        .doc("Scope the broker asks its own token for."),
    string("sasl.oauthbearer.scope.claim.name").default("scope").fatal(reason::SECURITY)
        .doc("Claim that holds the scope."),
    string("sasl.oauthbearer.sub.claim.name").default("sub").fatal(reason::SECURITY)
        .doc("Claim that holds the subject."),
    class("sasl.oauthbearer.jwt.retriever.class").default("org.apache.kafka.common.security.oauthbearer.DefaultJwtRetriever").fatal(reason::SECURITY)
        .doc("Plugin that gets tokens."),
    class("sasl.oauthbearer.jwt.validator.class").default("org.apache.kafka.common.security.oauthbearer.DefaultJwtValidator").fatal(reason::SECURITY)
        .doc("Plugin that judges tokens."),
    string("sasl.oauthbearer.client.credentials.client.id").fatal(reason::SECURITY)
        .doc("Client id of the broker at the identity provider."),
    password("sasl.oauthbearer.client.credentials.client.secret").fatal(reason::SECURITY)
        .doc("Secret that belongs to the client id."),
    string("sasl.oauthbearer.assertion.algorithm").default("RS256").check(Check::OneOfIgnoringCase(&["ES256", "RS256"])).fatal(reason::SECURITY)
        .doc("Algorithm that signs the broker's assertion."),
    string("sasl.oauthbearer.assertion.file").fatal(reason::SECURITY)
        .doc("File with a ready assertion."),
    string("sasl.oauthbearer.assertion.template.file").fatal(reason::SECURITY)
        .doc("File with a template of the assertion."),
    string("sasl.oauthbearer.assertion.private.key.file").fatal(reason::SECURITY)
        .doc("File with the key that signs the assertion."),
    password("sasl.oauthbearer.assertion.private.key.passphrase").fatal(reason::SECURITY)
        .doc("Password of that key."),
    string("sasl.oauthbearer.assertion.claim.aud").fatal(reason::SECURITY)
        .doc("Audience claim of the assertion."),
    int("sasl.oauthbearer.assertion.claim.exp.seconds").default("300").between(0, 86_400).fatal(reason::SECURITY)
        .doc("Life of the assertion."),
    string("sasl.oauthbearer.assertion.claim.iss").fatal(reason::SECURITY)
        .doc("Issuer claim of the assertion."),
    boolean("sasl.oauthbearer.assertion.claim.jti.include").default("false").fatal(reason::SECURITY)
        .doc("Whether the assertion carries an id of its own."),
    int("sasl.oauthbearer.assertion.claim.nbf.seconds").default("60").between(0, 3600).fatal(reason::SECURITY)
        .doc("How far back the assertion is valid."),
    string("sasl.oauthbearer.assertion.claim.sub").fatal(reason::SECURITY)
        .doc("Subject claim of the assertion."),
];
