import CoordinatorServer
import Foundation
import TestSupport
import Testing

@Suite struct DataFolderTests {
  @Test("only its owner can look into a data folder, also one that was there before")
  func permissions() throws {
    let temporary = try TemporaryFolder()
    let folder = temporary.url.appending(path: "data")
    let manager = FileManager.default
    try manager.createDirectory(
      at: folder, withIntermediateDirectories: true, attributes: [.posixPermissions: 0o755])
    func mode(_ path: String) throws -> Int? {
      try manager.attributesOfItem(atPath: folder.path + path)[.posixPermissions] as? Int
    }
    func check() throws {
      #expect(try mode("") == 0o700)
      for suffix in ["", "-wal", "-shm"] {
        #expect(try mode("/coordinator.sqlite" + suffix) == 0o600, "\(suffix)")
      }
    }
    let first = try DataFolder(opening: folder)
    try check()
    // A database of an older version is closed to others while another process has it open.
    for suffix in ["", "-wal", "-shm"] {
      try manager.setAttributes(
        [.posixPermissions: 0o644], ofItemAtPath: folder.path + "/coordinator.sqlite" + suffix)
    }
    let second = try DataFolder(opening: folder)
    try check()
    try second.store.close()
    try first.store.close()
  }

  @Test(
    "an authority that is damaged names its file and the cure", arguments: ["ca.pem", "ca.key.pem"])
  func damagedAuthority(name: String) throws {
    let (one, other) = (try TemporaryFolder(), try TemporaryFolder())
    for folder in [one, other] { try DataFolder(opening: folder.url).store.close() }
    func words() -> String {
      do {
        try DataFolder(opening: one.url).store.close()
        return "it was opened"
      } catch {
        return "\(error)"
      }
    }
    let file = one.url.appending(path: name)
    let whole = try Data(contentsOf: file)
    for damage in [
      Data(), Data("nonsense".utf8), Data([0xff, 0xfe, 0]), whole.prefix(whole.count / 2),
    ] {
      try damage.write(to: file)
      let told = words()
      #expect(told.contains("/\(name): it is damaged") && told.contains("from a backup"), "\(told)")
    }
    // Of another coordinator.
    try Data(contentsOf: other.url.appending(path: name)).write(to: file)
    #expect(words().contains("/ca.key.pem: it is not the key of ca.pem"))
    try whole.write(to: file)
    #expect(words() == "it was opened")
    try FileManager.default.removeItem(at: one.url.appending(path: "ca.key.pem"))
    #expect(words().contains("/ca.key.pem: it is missing"))
  }
}
