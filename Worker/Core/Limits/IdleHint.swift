import Foundation

/// What systemd-logind says of whether somebody uses the machine: the properties `IdleHint` and
/// `IdleSinceHint` of org.freedesktop.login1(5), which desktops keep up to date.
package enum IdleHint {
  private struct Property<Value: Decodable>: Decodable {
    var type: String
    var data: Value
  }

  /// Seconds since somebody last used it; 0 while somebody does.
  ///
  /// - Parameters:
  ///   - answer: what `busctl --json=short get-property` prints for the two, a line each.
  ///   - now: in seconds since 1970.
  /// - Returns: nil for what is no such answer.
  package static func idleSeconds(_ answer: String, now: Double) -> Double? {
    let lines = answer.prefix(1024).split(separator: "\n")
    guard lines.count == 2, let isIdle = property(lines[0], "b", Bool.self) else { return nil }
    guard isIdle else { return 0 }
    // In microseconds since 1970.
    guard let since = property(lines[1], "t", UInt64.self) else { return nil }
    return max(0, now - Double(since) / 1e6)
  }

  private static func property<Value: Decodable>(
    _ line: Substring, _ type: String, _: Value.Type
  ) -> Value? {
    let read = try? JSONDecoder().decode(Property<Value>.self, from: Data(line.utf8))
    return read?.type == type ? read?.data : nil
  }
}
