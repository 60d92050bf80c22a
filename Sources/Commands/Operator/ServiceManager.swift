import Foundation
import Glibc
import Synchronization

/// Tells the service manager that started this process how it does: systemd's notification protocol
/// (sd_notify(3)), datagrams to the socket that `NOTIFY_SOCKET` names. It is never needed for the
/// work, so that failures are of no consequence here.
final class ServiceManager: Sendable {
  /// How often a sign of life is wanted, so that one may be late; nil: not at all.
  let pulse: Duration?
  private let path: String
  private let told = Mutex<String?>(nil)

  /// Nil where nobody wants to be told.
  init?(environment: [String: String] = ProcessInfo.processInfo.environment) {
    guard let path = environment["NOTIFY_SOCKET"], path.hasPrefix("/") || path.hasPrefix("@")
    else { return nil }
    self.path = path
    let isOurs = environment["WATCHDOG_PID"].map { $0 == String(getpid()) } ?? true
    let microseconds = environment["WATCHDOG_USEC"].flatMap { Int($0) } ?? 0
    pulse = isOurs && microseconds > 0 ? .microseconds(microseconds / 3) : nil
  }

  /// What is being done, in one line. The first time it says that the service is ready too.
  func tell(_ status: String) {
    told.withLock { told in
      guard told != status else { return }
      // What people and coordinators call themselves must not become fields of its own.
      let line = status.split(whereSeparator: \.isNewline).joined(separator: " ")
      send((told == nil ? "READY=1\n" : "") + "STATUS=\(line)")
      told = status
    }
  }

  /// A sign of life.
  func beat() { send("WATCHDOG=1") }

  /// What takes time now is the end.
  func tellStopping() { send("STOPPING=1") }

  private func send(_ message: String) {
    let socket = Glibc.socket(AF_UNIX, Int32(SOCK_DGRAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
    guard socket >= 0 else { return }
    defer { close(socket) }
    var address = sockaddr_un()
    address.sun_family = sa_family_t(AF_UNIX)
    // An abstract address begins with a zero instead of the sign, and ends where it ends.
    let name = path.hasPrefix("@") ? [0] + Array(path.utf8.dropFirst()) : Array(path.utf8)
    let room = MemoryLayout.size(ofValue: address.sun_path)
    guard name.count < room else { return }
    withUnsafeMutableBytes(of: &address.sun_path) { $0.copyBytes(from: name) }
    let length = socklen_t(MemoryLayout<sockaddr_un>.size - room + name.count)
    let bytes = Array(message.utf8)
    _ = withUnsafePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
        sendto(socket, bytes, bytes.count, Int32(MSG_NOSIGNAL), $0, length)
      }
    }
  }
}
