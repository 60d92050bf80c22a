import NIOCore

/// Where a client comes from, as limits count it: an IPv4 address, or a network of 64 bits, which
/// is the least that one holder of IPv6 addresses has.
package struct ClientNetwork: Hashable, Sendable {
  private let bytes: [UInt8]

  /// - Parameter address: nil and addresses that are none of the internet's are all the same
  ///   client.
  package init(_ address: SocketAddress?) {
    bytes =
      switch address {
      case .v4(let address):
        withUnsafeBytes(of: address.address.sin_addr) { Array($0) }
      case .v6(let address):
        withUnsafeBytes(of: address.address.sin6_addr) { Self.significant(Array($0)) }
      case .unixDomainSocket, nil: []
      }
  }

  private static func significant(_ address: [UInt8]) -> [UInt8] {
    // An IPv4 address that came in through an IPv6 socket.
    let mapped: [UInt8] = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]
    return address.starts(with: mapped) ? Array(address.suffix(4)) : Array(address.prefix(8))
  }
}
