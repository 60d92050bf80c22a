import AsyncHTTPClient
import Foundation
import Glibc
import NIOCore
import NIOPosix
import NIOSSL
import WirePayloads
import WireProtocol

/// Why there is no connection, for people: in words, without a library's text.
package enum ConnectionTrouble: Hashable, Sendable {
  /// Nobody who is trusted vouches for the certificate at this time.
  case untrusted
  /// The certificate names another host.
  case otherHost
  /// What answered speaks HTTP without TLS.
  case plainHTTP
  /// The other side refused the client's certificate.
  case certificateRefused(String)
  /// The other side refused the handshake otherwise, or broke it off.
  case handshakeFailed(String)
  /// The other side closed the connection without a word, or it broke.
  case closed
  /// A failure of another kind, in its own words.
  case other(String)

  /// What an address shows where nothing is verified.
  package struct Evidence: Hashable, Sendable {
    /// SHA-256 of the coordinator's CA certificate; nil where none was shown.
    package var authority: Digest?
    /// Its clock, in seconds since 1970.
    package var unixSeconds: Int?

    package init(authority: Digest?, unixSeconds: Int?) {
      self.authority = authority
      self.unixSeconds = unixSeconds
    }
  }

  /// Takes an error of the HTTP client or of what is below it.
  package init(_ error: any Error) {
    switch error {
    case let error as NIOSSLExtraError where error == .failedToValidateHostname: self = .otherHost
    case is NIOSSLError, is BoringSSLError: self = Self.ofTLS("\(error)")
    case let error as NIOConnectionError: self = .other(Self.words(of: error))
    case let error as HTTPClientError where error == .remoteConnectionClosed: self = .closed
    case let error as HTTPClientError: self = .other(error.shortDescription.lowercased())
    case let error as IOError where [ECONNRESET, EPIPE].contains(error.errnoCode): self = .closed
    case let error as IOError: self = .other(String(cString: strerror(error.errnoCode)))
    case is CancellationError: self = .other("cancelled")
    default: self = .closed
    }
  }

  /// From the names that BoringSSL gives its errors.
  private static func ofTLS(_ text: String) -> ConnectionTrouble {
    let name = text.split(separator: "OPENSSL_internal:", maxSplits: 1).dropFirst().first
      .map { $0.prefix { $0.isASCII && ($0.isUppercase || $0.isNumber || $0 == "_") } } ?? ""
    switch name {
    case "CERTIFICATE_VERIFY_FAILED": return .untrusted
    case "WRONG_VERSION_NUMBER", "HTTP_REQUEST", "HTTPS_PROXY_REQUEST": return .plainHTTP
    case "SSLV3_ALERT_CERTIFICATE_EXPIRED": return .certificateRefused("it has ended")
    case "SSLV3_ALERT_CERTIFICATE_REVOKED": return .certificateRefused("it is revoked")
    case "SSLV3_ALERT_BAD_CERTIFICATE": return .certificateRefused("it is not valid at this time")
    case "TLSV1_ALERT_UNKNOWN_CA": return .certificateRefused("it is from another authority")
    case "SSLV3_ALERT_CERTIFICATE_UNKNOWN", "SSLV3_ALERT_UNSUPPORTED_CERTIFICATE",
      "TLSV1_ALERT_ACCESS_DENIED", "TLSV1_ALERT_CERTIFICATE_REQUIRED":
      return .certificateRefused("it is not accepted")
    case "TLSV1_ALERT_PROTOCOL_VERSION", "UNSUPPORTED_PROTOCOL":
      return .handshakeFailed("it does not speak TLS 1.3")
    case "": return .handshakeFailed("it broke the TLS handshake off")
    default:
      return .handshakeFailed(
        "the TLS handshake failed: \(name.lowercased().replacing("_", with: " "))")
    }
  }

  /// What the system said of the last address that was tried.
  private static func words(of error: NIOConnectionError) -> String {
    if let last = error.connectionErrors.last {
      let address = last.target.ipAddress ?? error.host
      let reason = (last.error as? IOError).map { String(cString: strerror($0.errnoCode)) }
      return "\(address) port \(error.port): \(reason ?? "no connection")"
    }
    return "no address is known for the name \(error.host)"
  }

  /// A sentence's end, to stand after a coordinator's address and a colon.
  ///
  /// - Parameters:
  ///   - evidence: what the address shows where nothing is verified; nil where that was not asked.
  ///   - trusted: the authority that is trusted; nil: the public ones alone.
  ///   - now: this machine's clock, in seconds since 1970.
  package func words(evidence: Evidence? = nil, trusted: Digest? = nil, now: Int) -> String {
    switch self {
    case .untrusted: Self.wordsOfUntrusted(evidence, trusted, now)
    case .otherHost:
      "its certificate is for another host name or address: use one that it names, or let its "
        + "operator add this one (tally coordinator --host)"
    case .plainHTTP: "it answers with HTTP without TLS: is the port right?"
    case .certificateRefused(let reason):
      "the coordinator refused this worker's certificate in the TLS handshake: \(reason)"
    case .closed: "the connection was closed or broke off"
    case .handshakeFailed(let reason), .other(let reason): reason
    }
  }

  /// The same for a server that is no coordinator, of which nothing but its address is known.
  package var wordsOfServer: String {
    switch self {
    case .untrusted:
      "it shows a certificate that this machine does not trust, or that is not valid by its clock: "
        + "look at the clock (timedatectl) and at the package ca-certificates"
    case .otherHost: "its certificate is for another host name or address"
    case .plainHTTP: "it answers with HTTP without TLS: is the address right?"
    case .certificateRefused:
      "it asks for a client certificate in the TLS handshake, and there is none for it"
    case .closed: "the connection was closed or broke off"
    case .handshakeFailed(let reason), .other(let reason): reason
    }
  }

  private static func wordsOfUntrusted(
    _ evidence: Evidence?, _ trusted: Digest?, _ now: Int
  ) -> String {
    if let shown = evidence?.authority, let trusted, shown != trusted {
      return
        "another authority answers there: its CA certificate has the fingerprint \(shown), trusted "
        + "is \(trusted). Either the coordinator was set up anew (ask for a new invitation), or "
        + "somebody stands between this machine and it"
    }
    if let theirs = evidence?.unixSeconds, abs(theirs - now) > 300 {
      return
        "its certificate is not valid \(theirs > now ? "yet" : "any more") by this machine's "
        + "clock, which reads \(time(now)); the coordinator's reads \(time(theirs)): set the clock "
        + "that is wrong (timedatectl set-ntp true)"
    }
    if trusted == nil {
      return
        "it shows a certificate that this machine does not trust. If the coordinator made its own, "
        + "pass its ca.pem: --ca FILE or TALLY_CA"
    }
    return
      "its certificate has ended or is not from its authority (\(time(now)) by this machine's "
      + "clock): the coordinator's operator has to renew it"
  }

  private static func time(_ unixSeconds: Int) -> String {
    Date(timeIntervalSince1970: Double(unixSeconds)).formatted(.iso8601)
  }
}

extension ConnectionTrouble.Evidence {
  /// Asks a coordinator for what it shows to anyone. Nothing of it is believed, no secret is sent.
  package static func gather(from url: String, over http: HTTPClient) async -> Self? {
    var request = HTTPClientRequest(url: url + WorkerRoute.authority)
    request.tlsConfiguration = .unverified
    guard let response = try? await http.execute(request, timeout: .seconds(10)) else { return nil }
    let date = response.headers.first(name: "date").flatMap(HTTPDate.unixSeconds)
    let body = try? await response.body.collect(upTo: 1 << 16)
    let authority = body.flatMap { AuthorityCertificate(pem: Data($0.readableBytesView)) }
    return Self(authority: authority?.fingerprint, unixSeconds: date)
  }
}

/// A CA certificate as people compare it.
package struct AuthorityCertificate: Hashable, Sendable {
  package let der: [UInt8]

  /// The first certificate of a text in PEM; nil when there is none.
  package init?(pem: Data) {
    guard pem.count <= 1 << 16,
      let certificate = try? NIOSSLCertificate.fromPEMBytes(Array(pem)).first,
      let der = try? certificate.toDERBytes()
    else { return nil }
    self.der = der
  }

  /// SHA-256 of its DER bytes, which invitations carry.
  package var fingerprint: Digest { BlobDigest.sha256(der) }

  /// This one certificate alone, in PEM.
  var pem: String {
    let base64 = Data(der).base64EncodedString(options: [
      .lineLength64Characters, .endLineWithLineFeed,
    ])
    return "-----BEGIN CERTIFICATE-----\n\(base64)\n-----END CERTIFICATE-----\n"
  }
}

/// The times of HTTP's headers.
enum HTTPDate {
  /// RFC 9110, 5.6.7: `Sun, 06 Nov 1994 08:49:37 GMT`; in seconds since 1970.
  static func unixSeconds(_ text: String) -> Int? {
    let formatter = DateFormatter()
    formatter.locale = Locale(identifier: "en_US_POSIX")
    formatter.timeZone = TimeZone(secondsFromGMT: 0)
    formatter.dateFormat = "EEE, dd MMM yyyy HH:mm:ss 'GMT'"
    return formatter.date(from: text).map { Int($0.timeIntervalSince1970) }
  }
}
