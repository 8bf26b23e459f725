"""Names of header fields that requests have, in lower case: they need not be learned.

See :mod:`bridge._http.learning_table`. None of them has an underscore.
"""

from __future__ import annotations

__all__ = ["KNOWN_NAMES"]

_REGISTERED = """
a-im accept accept-additions accept-ch accept-charset accept-datetime accept-encoding
accept-features accept-language accept-patch accept-post accept-ranges accept-signature
access-control-allow-credentials access-control-allow-headers access-control-allow-methods
access-control-allow-origin access-control-expose-headers access-control-max-age
access-control-request-headers access-control-request-method activate-storage-access age allow alpn
alt-svc alt-used alternates amp-cache-transform apply-to-redirect-ref authentication-control
authentication-info authorization available-dictionary cache-control cache-status cal-managed-id
caldav-timezones capsule-protocol cdn-cache-control cdn-loop cert-not-after cert-not-before
clear-site-data client-cert client-cert-chain close cmcd-object cmcd-request cmcd-session
cmcd-status cmsd-dynamic cmsd-static concealed-auth-export configuration-context connection
content-digest content-disposition content-encoding content-id content-language content-length
content-location content-md5 content-range content-security-policy
content-security-policy-report-only content-type cookie cookie2 cross-origin-embedder-policy
cross-origin-embedder-policy-report-only cross-origin-opener-policy
cross-origin-opener-policy-report-only cross-origin-resource-policy cta-common-access-token dasl
date dav delta-base deprecation depth destination detached-jws dictionary-id differential-id digest
dpop dpop-nonce early-data ediint-features etag expect expect-ct expires forwarded from hobareg host
http2-settings if if-match if-modified-since if-none-match if-range if-schedule-tag-match
if-unmodified-since im include-referred-token-binding-id isolation keep-alive label last-event-id
last-modified link link-template location lock-token max-forwards memento-datetime meter
mime-version negotiate nel odata-entityid odata-isolation odata-maxversion odata-version
optional-www-authenticate ordering-type origin origin-agent-cluster oscore oslc-core-version
overwrite permissions-policy ping-from ping-to position pragma prefer preference-applied priority
proxy-authenticate proxy-authentication-info proxy-authorization proxy-status public-key-pins
public-key-pins-report-only range redirect-ref referer referrer-policy refresh
repeatability-client-id repeatability-first-sent repeatability-request-id repeatability-result
replay-nonce reporting-endpoints repr-digest retry-after schedule-reply schedule-tag
sec-fetch-storage-access sec-gpc sec-purpose sec-token-binding sec-websocket-accept
sec-websocket-extensions sec-websocket-key sec-websocket-protocol sec-websocket-version server
server-timing set-cookie signature signature-input slug soapaction status-uri
strict-transport-security sunset surrogate-capability surrogate-control tcn te timeout
timing-allow-origin topic traceparent tracestate trailer transfer-encoding ttl upgrade urgency
use-as-dictionary user-agent variant-vary vary via want-content-digest want-digest want-repr-digest
warning www-authenticate x-content-type-options x-frame-options
"""
"""IANA's registry of HTTP field names (RFC 9110, 16.3.1), responses included: clients may send any
of them. Left out are most of those that are marked as obsolete."""

_BROWSERS = """
device-memory dnt downlink dpr ect purpose rtt save-data sec-browsing-topics sec-ch-device-memory
sec-ch-dpr sec-ch-prefers-color-scheme sec-ch-prefers-reduced-motion
sec-ch-prefers-reduced-transparency sec-ch-ua sec-ch-ua-arch sec-ch-ua-bitness
sec-ch-ua-form-factors sec-ch-ua-full-version sec-ch-ua-full-version-list sec-ch-ua-mobile
sec-ch-ua-model sec-ch-ua-platform sec-ch-ua-platform-version sec-ch-ua-wow64 sec-ch-viewport-height
sec-ch-viewport-width sec-ch-width sec-fetch-dest sec-fetch-mode sec-fetch-site sec-fetch-user
sec-speculation-tags service-worker service-worker-navigation-preload upgrade-insecure-requests
viewport-width width x-requested-with
"""

_PROXIES = """
akamai-origin-hop b3 baggage cf-access-authenticated-user-email cf-access-client-id
cf-access-client-secret cf-access-jwt-assertion cf-connecting-ip cf-connecting-ipv6
cf-connecting-o2o cf-ew-via cf-ipcity cf-ipcontinent cf-ipcountry cf-iplatitude cf-iplongitude
cf-pseudo-ipv4 cf-ray cf-region cf-region-code cf-timezone cf-visitor cf-warp-tag-id cf-worker
client-ip cloudfront-forwarded-proto cloudfront-is-desktop-viewer cloudfront-is-mobile-viewer
cloudfront-is-smarttv-viewer cloudfront-is-tablet-viewer cloudfront-viewer-address
cloudfront-viewer-asn cloudfront-viewer-city cloudfront-viewer-country
cloudfront-viewer-country-name cloudfront-viewer-country-region cloudfront-viewer-http-version
cloudfront-viewer-latitude cloudfront-viewer-longitude cloudfront-viewer-time-zone
cloudfront-viewer-tls connect-time fastly-client fastly-client-ip fastly-ff fastly-ssl
fastly-temp-xff fly-client-ip fly-forwarded-port fly-forwarded-proto fly-forwarded-ssl fly-region
front-end-https grpc-timeout newrelic proxy-connection remote-user sentry-trace ssl-client-cert
stripe-signature true-client-ip uber-trace-id x-akamai-edgescape x-amz-cf-id x-amz-date
x-amzn-oidc-accesstoken x-amzn-oidc-data x-amzn-oidc-identity x-amzn-trace-id x-api-key
x-appengine-city x-appengine-country x-appengine-region x-appengine-user-ip x-arr-clientcert
x-arr-log-id x-arr-ssl x-att-deviceid x-auth-request-access-token x-auth-request-email
x-auth-request-groups x-auth-request-preferred-username x-auth-request-user x-auth-token
x-azure-clientip x-azure-fdid x-azure-ref x-azure-requestchain x-azure-socketip x-b3-flags
x-b3-parentspanid x-b3-sampled x-b3-spanid x-b3-traceid x-client-cert x-client-ip x-client-trace-id
x-client-verify x-cloud-trace-context x-cluster-client-ip x-correlation-id x-country-code
x-csrf-token x-csrftoken x-datadog-origin x-datadog-parent-id x-datadog-sampling-priority
x-datadog-tags x-datadog-trace-id x-envoy-attempt-count x-envoy-decorator-operation
x-envoy-expected-rq-timeout-ms x-envoy-external-address x-envoy-internal x-envoy-original-path
x-envoy-peer-metadata x-envoy-peer-metadata-id x-forwarded x-forwarded-access-token x-forwarded-by
x-forwarded-client-cert x-forwarded-email x-forwarded-for x-forwarded-groups x-forwarded-host
x-forwarded-path x-forwarded-port x-forwarded-preferred-username x-forwarded-prefix
x-forwarded-proto x-forwarded-protocol x-forwarded-scheme x-forwarded-server x-forwarded-ssl
x-forwarded-tls-client-cert x-forwarded-uri x-forwarded-url x-forwarded-user x-geo-country
x-github-delivery x-github-event x-goog-authenticated-user-email x-goog-authenticated-user-id
x-goog-iap-jwt-assertion x-http-method x-http-method-override x-hub-signature x-hub-signature-256
x-iinfo x-method-override x-moz x-newrelic-id x-newrelic-transaction x-nginx-proxy
x-original-forwarded-for x-original-host x-original-method x-original-proto x-original-uri
x-original-url x-ot-span-context x-ot-span-id x-ot-trace-id x-prerender-token x-purpose
x-queue-start x-real-ip x-real-port x-remote-addr x-remote-user x-replaced-path x-request-id
x-request-start x-requested-by x-rewrite-url x-scheme x-session-id x-shopify-hmac-sha256
x-shopify-shop-domain x-shopify-topic x-site-deployment-id x-ssl-cert x-ssl-client-cert
x-ssl-client-dn x-ssl-client-verify x-stripe-signature x-trace-id x-url-scheme x-user-agent
x-varnish x-vercel-forwarded-for x-vercel-id x-vercel-ip-city x-vercel-ip-country
x-vercel-ip-country-region x-wap-profile x-waws-unencoded-url x-xsrf-token
"""
"""What proxies, CDNs, tracing and JavaScript frameworks add."""

KNOWN_NAMES = tuple(sorted({*_REGISTERED.split(), *_BROWSERS.split(), *_PROXIES.split()}))
