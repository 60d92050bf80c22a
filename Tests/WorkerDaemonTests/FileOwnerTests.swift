import Foundation
import Glibc
import TestSupport
import Testing
import WorkerCore
import WorkerDaemon

/// What `sudo tally worker preferences` leaves in the folder of a service that runs as another
/// user.
@Suite struct FileOwnerTests {
  let place: TemporaryFolder

  init() throws { place = try TemporaryFolder() }

  private func status(_ path: String) throws -> stat {
    var status = stat()
    try #require(lstat(path, &status) == 0, "\(path)")
    return status
  }

  @Test func whatRootWritesBelongsToTheFoldersOwner() throws {
    let folder = try WorkerFolder(place.path("w"))
    // Whoever is not root may give nothing away, and owns both.
    if geteuid() == 0 { try #require(chown(folder.path, 54321, 54321) == 0) }
    try PreferencesFile(in: folder).save(WorkerPreferences())
    let (file, owner) = (
      try status(folder.path + "/preferences.json"), try status(folder.path)
    )
    #expect(file.st_uid == owner.st_uid && file.st_gid == owner.st_gid)
    #expect(file.st_mode & 0o777 == 0o600)
  }

  @Test func aLinkThatLiesInWaitIsNotFollowed() throws {
    let folder = try WorkerFolder(place.path("w"))
    let victim = place.path("victim")
    try "untouched".write(toFile: victim, atomically: true, encoding: .utf8)
    let before = try status(victim)
    try #require(symlink(victim, folder.path + "/preferences.json.new") == 0)
    if geteuid() == 0 { try #require(chown(folder.path, 54321, 54321) == 0) }
    try PreferencesFile(in: folder).save(WorkerPreferences())
    #expect(try String(contentsOfFile: victim, encoding: .utf8) == "untouched")
    #expect(try status(victim).st_uid == before.st_uid)
    #expect(try status(folder.path + "/preferences.json").st_mode & S_IFMT == S_IFREG)
  }
}
