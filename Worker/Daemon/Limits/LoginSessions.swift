import Foundation

/// Asks systemd-logind about the people at the machine, through `busctl`: it comes with systemd,
/// and spares the worker a library of its own for one question.
struct LoginSessions: Sendable {
  /// Before every path; empty but in tests.
  let root: String

  /// Whether somebody could sit at this machine; read as logind keeps it.
  var hasSeats: Bool {
    let seats = try? FileManager.default.contentsOfDirectory(atPath: root + "/run/systemd/seats")
    return seats?.isEmpty == false
  }

  /// The answer for `IdleHint`; nil where there is none.
  func ask() async -> String? {
    await withCheckedContinuation { continuation in
      let process = Process()
      let output = Pipe()
      process.executableURL = URL(fileURLWithPath: root + "/usr/bin/busctl")
      process.arguments = [
        "--json=short", "--timeout=1", "get-property", "org.freedesktop.login1",
        "/org/freedesktop/login1", "org.freedesktop.login1.Manager", "IdleHint", "IdleSinceHint",
      ]
      process.standardInput = FileHandle.nullDevice
      process.standardOutput = output
      process.standardError = FileHandle.nullDevice
      process.terminationHandler = { _ in
        let data = try? output.fileHandleForReading.read(upToCount: 1024)
        continuation.resume(returning: data.map { String(decoding: $0, as: UTF8.self) })
      }
      do {
        try process.run()
      } catch {
        continuation.resume(returning: nil)
      }
    }
  }
}
