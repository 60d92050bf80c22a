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
}
