import CoordinatorAPI
import Foundation
import Synchronization

/// What connections may take of the coordinator.
package struct ConnectionLimits: Hashable, Sendable {
  /// Connections at once; who comes later waits in the system's queue.
  package var connections = 10_000
  /// Connections at once from one address; more are closed. Many workers may share an address.
  package var connectionsPerAddress = 2_000
  /// Seconds in which a request has to arrive,
  package var requestSeconds = 60
  /// and one more for this many bytes of its body.
  package var requestBytesPerSecond = 256
  /// Seconds without progress after which an answer that the client does not take is given up:
  /// enough for a worker that is allowed a kilobyte a second to empty the buffers on the way.
  package var stalledSeconds = 900

  /// Bytes of a refused request that are still read, so that the client sees the answer.
  package static let lateBytes = 1 << 20
  /// Seconds for which that is read.
  package static let lateSeconds = 5

  package init() {}

  /// The limits that file descriptors allow: a connection may need a second one for a file, and one
  /// address never has more than half of the connections.
  package func within(descriptors: Int) -> ConnectionLimits {
    var limits = self
    limits.connections = min(connections, max(16, (descriptors - Self.otherDescriptors) / 2))
    limits.connectionsPerAddress = min(connectionsPerAddress, max(8, limits.connections / 2))
    return limits
  }

  /// File descriptors with which all connections can be had.
  var descriptors: Int { 2 * connections + Self.otherDescriptors }

  /// File descriptors of database, listener and threads, which are no connections.
  private static let otherDescriptors = 64
}

/// How many files and connections the system lets this process open.
package enum DescriptorLimit {
  /// Raises the limit as far as the system lets it and is of use; gives what it is then.
  package static func raise(toward wanted: Int) -> Int {
    var limit = rlimit()
    guard getrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &limit) == 0 else { return 1024 }
    let target = min(rlim_t(max(0, wanted)), limit.rlim_max)
    if target > limit.rlim_cur {
      var raised = limit
      raised.rlim_cur = target
      if setrlimit(__rlimit_resource_t(RLIMIT_NOFILE.rawValue), &raised) == 0 { limit = raised }
    }
    return Int(clamping: limit.rlim_cur)
  }
}

/// Counts open connections by where they come from.
package final class ConnectionCounts: Sendable {
  private let open = Mutex<[ClientNetwork: Int]>([:])

  package init() {}

  /// Counts one more; false when there are `limit` already.
  func add(_ network: ClientNetwork, limit: Int) -> Bool {
    open.withLock { open in
      guard open[network, default: 0] < limit else { return false }
      open[network, default: 0] += 1
      return true
    }
  }

  func remove(_ network: ClientNetwork) {
    open.withLock { open in
      let left = open[network, default: 0] - 1
      open[network] = left > 0 ? left : nil
    }
  }
}
