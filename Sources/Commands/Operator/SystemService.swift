import Foundation
import Glibc

/// The service that the Debian package installs for a worker or a coordinator.
struct SystemService: Sendable {
  /// Of the systemd unit.
  let name: String
  private let root: String

  /// - Parameters:
  ///   - role: `worker` or `coordinator`.
  ///   - root: before `/lib`, `/usr`, `/var` and `/run`, for tests.
  init(_ role: String, root: String = "") {
    name = "tallystick-\(role)"
    self.root = root
  }

  /// Where the service keeps its data.
  var folder: String { root + "/var/lib/" + name }

  var isInstalled: Bool {
    ["/lib", "/usr/lib", "/etc"].contains {
      FileManager.default.fileExists(atPath: "\(root)\($0)/systemd/system/\(name).service")
    }
  }

  /// True where systemd runs the machine (sd_booted(3)).
  var isManaged: Bool {
    isInstalled && FileManager.default.fileExists(atPath: root + "/run/systemd/system")
  }

  /// The data folder that a command means which names none: its own for the service
  /// (systemd.exec(5), `STATE_DIRECTORY`), the service's for root and for the service's user; nil
  /// for everybody else.
  func folder(environment: [String: String], user: uid_t = geteuid()) -> String? {
    if let own = environment["STATE_DIRECTORY"]?.split(separator: ":").first { return String(own) }
    guard isInstalled else { return nil }
    var status = stat()
    let isOwner = stat(folder, &status) == 0 && status.st_uid == user
    return user == 0 || isOwner ? folder : nil
  }

  /// Makes root the owner of a folder for good, so that what it writes there is the owner's.
  ///
  /// - Throws: `CommandError` where the system does not let it.
  static func become(ownerOf folder: String) throws {
    var status = stat()
    guard geteuid() == 0, stat(folder, &status) == 0, status.st_uid != 0 else { return }
    // Of root's process, setuid(2) changes the saved one too: there is no way back.
    guard setgroups(0, nil) == 0, setgid(status.st_gid) == 0, setuid(status.st_uid) == 0 else {
      throw CommandError(
        "cannot become the owner of \(folder): \(String(cString: strerror(errno)))")
    }
  }

  /// Gives what root made in a folder to the folder's owner: a service finds its folder as its own
  /// and looks no further.
  static func handOver(_ folder: String) {
    // A dynamic user's folder is behind a link, at which listing would stop.
    let folder = URL(filePath: folder).resolvingSymlinksInPath().path
    var owner = stat()
    guard geteuid() == 0, stat(folder, &owner) == 0, owner.st_uid != 0 else { return }
    for name in FileManager.default.enumerator(atPath: folder) ?? .init() {
      guard let name = name as? String else { continue }
      var status = stat()
      let path = folder + "/" + name
      if lstat(path, &status) == 0, status.st_uid == 0 { lchown(path, owner.st_uid, owner.st_gid) }
    }
  }

  /// Runs systemctl on the unit.
  ///
  /// - Throws: `CommandError` with what it said.
  func control(_ order: String...) throws {
    let (process, output) = (Process(), Pipe())
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = ["systemctl"] + order + [name]
    process.standardOutput = output
    process.standardError = output
    try process.run()
    let said = output.fileHandleForReading.readDataToEndOfFile()
    process.waitUntilExit()
    guard process.terminationStatus == 0 else {
      throw CommandError(
        "systemctl \(order.joined(separator: " ")) \(name): "
          + String(decoding: said.prefix(500), as: UTF8.self)
          .trimmingCharacters(in: .whitespacesAndNewlines))
    }
  }
}
