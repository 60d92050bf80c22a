import Foundation

/// The proxy that the environment names for a connection, as curl reads it: `https_proxy`, else
/// `all_proxy`, but not for hosts that `no_proxy` lists. Lower case counts before upper case.
package struct ProxySettings: Hashable, Sendable {
  package enum Kind: String, Hashable, Sendable {
    /// HTTP's CONNECT.
    case http
    case socks5
  }

  package let kind: Kind
  package let host: String
  package let port: Int
  /// For basic authentication; nil: none.
  package let user: String?
  package let password: String?

  /// Host and port alone, since passwords must not be shown.
  package var spelled: String { "\(kind.rawValue)://\(host):\(port)" }

  /// The proxy for connections to `url`; nil: none.
  ///
  /// - Throws: `ProxyError` for a variable that names no proxy which can be used.
  package init?(for url: String, environment: [String: String]) throws(ProxyError) {
    func variable(_ name: String) -> (name: String, value: String)? {
      for name in [name, name.uppercased()] {
        if let value = environment[name], !value.isEmpty { return (name, value) }
      }
      return nil
    }
    guard let (name, value) = variable("https_proxy") ?? variable("all_proxy") else { return nil }
    guard let target = URLComponents(string: url), let host = target.host else { return nil }
    if Self.excludes(variable("no_proxy")?.value ?? "", host: Self.plain(host), port: target.port) {
      return nil
    }
    try self.init(spelled: value, variable: name)
  }

  private init(spelled value: String, variable: String) throws(ProxyError) {
    let text = value.contains("://") ? value : "http://" + value
    guard let parts = URLComponents(string: text), let host = parts.host, !host.isEmpty else {
      throw ProxyError(variable: variable, reason: "is no address of a proxy")
    }
    switch parts.scheme?.lowercased() {
    case "http": (kind, port) = (.http, parts.port ?? 1080)
    case "socks5", "socks5h", "socks": (kind, port) = (.socks5, parts.port ?? 1080)
    default:
      throw ProxyError(
        variable: variable, reason: "names a kind of proxy that is not known here: http, socks5 are"
      )
    }
    guard (1...65535).contains(port) else {
      throw ProxyError(variable: variable, reason: "has a port that is none")
    }
    self.host = Self.plain(host)
    (user, password) = (parts.user, parts.password)
    guard kind == .http || user == nil else {
      throw ProxyError(
        variable: variable, reason: "has a user, which SOCKS proxies get none of here")
    }
  }

  /// Whether a list of hosts, domains and address blocks excludes a host.
  private static func excludes(_ list: String, host: String, port: Int?) -> Bool {
    let host = host.lowercased()
    return list.split(whereSeparator: { $0 == "," || $0 == " " }).contains { entry in
      var entry = entry.lowercased()
      if entry == "*" { return true }
      // A colon in anything but an IPv6 address comes before a port.
      if let colon = entry.lastIndex(of: ":"), entry.filter({ $0 == ":" }).count == 1 {
        guard entry[entry.index(after: colon)...] == String(port ?? 443) else { return false }
        entry = String(entry[..<colon])
      }
      entry = plain(entry)
      if let block = AddressBlock(entry), let address = AddressBlock(host) {
        return block.contains(address)
      }
      if entry.hasPrefix("*.") { entry.removeFirst() }
      let domain = entry.hasPrefix(".") ? String(entry.dropFirst()) : entry
      return !domain.isEmpty && (host == domain || host.hasSuffix("." + domain))
    }
  }

  /// Without the brackets of an IPv6 address.
  private static func plain(_ host: String) -> String {
    host.hasPrefix("[") && host.hasSuffix("]") ? String(host.dropFirst().dropLast()) : host
  }
}

/// An environment variable that names no usable proxy.
package struct ProxyError: Error, Hashable, CustomStringConvertible {
  package var variable: String
  package var reason: String

  package var description: String { "\(variable) \(reason)" }
}

/// An IP address, or all that share its first bits: `10.0.0.0/8`.
private struct AddressBlock {
  let bytes: [UInt8]
  let bits: Int

  init?(_ text: String) {
    let parts = text.split(separator: "/", maxSplits: 1)
    guard let address = parts.first.map(String.init) else { return nil }
    var (four, six) = (in_addr(), in6_addr())
    if inet_pton(AF_INET, address, &four) == 1 {
      bytes = withUnsafeBytes(of: &four) { Array($0) }
    } else if inet_pton(AF_INET6, address, &six) == 1 {
      bytes = withUnsafeBytes(of: &six) { Array($0) }
    } else {
      return nil
    }
    guard let bits = parts.count == 2 ? Int(parts[1]) : bytes.count * 8,
      (0...bytes.count * 8).contains(bits)
    else { return nil }
    self.bits = bits
  }

  func contains(_ other: AddressBlock) -> Bool {
    bytes.count == other.bytes.count && other.bits >= bits
      && (0..<bits).allSatisfy { bit in
        (bytes[bit / 8] ^ other.bytes[bit / 8]) & (0x80 >> UInt8(bit % 8)) == 0
      }
  }
}
