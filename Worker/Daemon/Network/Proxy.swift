import AsyncHTTPClient
import WireProtocol

extension HTTPClient.Configuration.Proxy {
  /// The proxy that the environment names for connections to `url`; nil: none.
  ///
  /// - Throws: `ProxyError`.
  package static func named(
    for url: String, by environment: [String: String]
  ) throws(ProxyError) -> HTTPClient.Configuration.Proxy? {
    guard let settings = try ProxySettings(for: url, environment: environment) else { return nil }
    switch settings.kind {
    case .socks5: return .socksServer(host: settings.host, port: settings.port)
    case .http:
      return .server(
        host: settings.host, port: settings.port,
        authorization: settings.user.map {
          .basic(username: $0, password: settings.password ?? "")
        })
    }
  }
}
