import ArgumentParser
import CoordinatorServer
import CoordinatorCore
import CoordinatorStore
import Foundation

/// Copies everything that a coordinator knows.
struct AdminBackupCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "backup",
    abstract: "Copy everything the coordinator knows into a folder, while it runs.",
    discussion: """
      The backup is of one moment: the database, the blobs (models, files, inputs and results), \
      the authority with its key, and coordinator.json. On the disk of the data folder the blobs \
      are second names of the same files and take no room but that of the database; on another \
      disk it is as large as the data folder (--dry-run says how large). Copy it to another \
      machine: a disk that fails takes both. It holds the authority's key, so only its owner may \
      read it. Options of the command line or in /etc/default, and a certificate of your own, are \
      not in it.

      `tally admin restore` makes a data folder of it again.

      EXAMPLES:
        tally admin backup /var/backups/tally-monday
        tally admin backup /mnt/disk/tally --dry-run
        tally admin backup backup --json && rsync -a backup/ elsewhere:tally-backup/
      """)

  @Argument(help: "The folder to write, which must be missing or empty.", completion: .directory)
  var folder: String

  @Flag(help: "Only say what would be copied.")
  var dryRun = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  func run() async throws {
    let target = URL(filePath: folder)
    guard
      FileManager.default.fileExists(atPath: data.url.appending(path: "coordinator.sqlite").path)
    else { throw CommandError("there is no coordinator's data in \(data.url.path)") }
    if !dryRun { try makeTarget(target) }
    let source = try data.open()
    if dryRun {
      let backup = try await Backup.estimate(of: source, now: Date())
      return try report(backup, "would be copied")
    }
    var bar = ProgressBar()
    do {
      let backup = try await Backup.write(of: source, to: target, now: Date()) { done, all in
        bar.show(
          fraction: Double(done) / Double(max(all, 1)),
          detail: "\(Spelled.bytes(done)) of \(Spelled.bytes(all))")
      }
      bar.finish()
      try report(backup, "in \(target.path)")
    } catch {
      bar.finish()
      // Not whole, so of no use; the folder itself may be its maker's.
      for name in (try? FileManager.default.contentsOfDirectory(atPath: target.path)) ?? [] {
        try? FileManager.default.removeItem(at: target.appending(path: name))
      }
      rmdir(target.path)
      throw error
    }
  }

  /// Makes the folder before root becomes the data folder's owner, and for that owner.
  private func makeTarget(_ target: URL) throws {
    func failure(_ reason: String) -> CommandError {
      CommandError("cannot make the folder \(target.path): \(reason)")
    }
    if mkdir(target.path, 0o700) != 0 {
      guard errno == EEXIST else { throw failure(String(cString: strerror(errno))) }
      let entries = try? FileManager.default.contentsOfDirectory(atPath: target.path)
      guard let entries, entries.isEmpty else {
        throw CommandError("\(target.path) is there already and is not an empty folder")
      }
      guard chmod(target.path, 0o700) == 0 else { throw failure(String(cString: strerror(errno))) }
    }
    var owner = stat()
    guard geteuid() == 0, stat(data.url.path, &owner) == 0, owner.st_uid != 0 else { return }
    guard chown(target.path, owner.st_uid, owner.st_gid) == 0 else {
      throw failure(String(cString: strerror(errno)))
    }
  }

  private struct Report: Encodable {
    let folder: String
    let created_at: Int
    let dry_run: Bool
    let database_bytes: Int
    let blobs: Int
    let blob_bytes: Int
    /// Bytes of blobs that could not be second names; unknown before.
    let copied_bytes: Int?
    let files: [String]
  }

  private func report(_ backup: Backup, _ ending: String) throws {
    if json {
      return try printJSON(
        Report(
          folder: folder, created_at: backup.createdAt, dry_run: dryRun,
          database_bytes: backup.databaseBytes, blobs: backup.blobs, blob_bytes: backup.blobBytes,
          copied_bytes: dryRun ? nil : backup.copiedBytes, files: backup.files.keys.sorted()))
    }
    let copied =
      dryRun ? "" : " (\(Spelled.bytes(backup.copiedBytes)) copied, the rest are second names)"
    Terminal.output.line(
      "\(Spelled.bytes(backup.databaseBytes)) of database and \(Spelled.count(backup.blobs)) blobs "
        + "with \(Spelled.bytes(backup.blobBytes))\(copied) \(ending)")
  }
}

/// Makes a coordinator's data folder of a backup.
struct AdminRestoreCommand: AsyncParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "restore", abstract: "Make a data folder of a backup.",
    discussion: """
      Every byte is compared with its digest first. A folder that holds a coordinator's data is \
      never overwritten: stop the coordinator and move the folder away before. Start the \
      coordinator afterwards as before.

      What happened since the backup is unknown to the restored coordinator. Workers that had \
      joined by then go on by themselves, also with certificates that were renewed later; units \
      that they hold are dropped and handed out again. Machines that joined later need a new \
      invitation. Batches, files, keys, credit, bans and revocations since then are gone: ban and \
      revoke again whom you had banned or revoked.

      EXAMPLES:
        tally admin restore /var/backups/tally-monday
        tally admin restore backup --data /srv/tally --json
      """)

  @Argument(help: "The folder that `tally admin backup` wrote.", completion: .directory)
  var folder: String

  @Flag(help: "Only say what would be restored; nothing is compared.")
  var dryRun = false

  @Flag(help: "Restore the rest when blobs are damaged.")
  var leaveOutDamaged = false

  @Flag(help: "Print JSON.")
  var json = false

  @OptionGroup var data: DataOptions

  private struct Report: Encodable {
    let data_folder: String
    let created_at: Int
    let dry_run: Bool
    let database_bytes: Int
    let blobs: Int
    let blob_bytes: Int
    let damaged_blobs: [String]
  }

  func run() async throws {
    let (source, target) = (URL(filePath: folder), data.url)
    let backup = try Backup(at: source)
    try Backup.requireNoCoordinator(target)
    var damaged: [String] = []
    if !dryRun {
      var bar = ProgressBar()
      defer { bar.finish() }
      damaged = try await backup.restore(
        from: source, to: target, leavesOutDamaged: leaveOutDamaged
      ) { done, all in
        bar.show(
          fraction: Double(done) / Double(all),
          detail: "\(Spelled.bytes(done)) of \(Spelled.bytes(all))")
      }.map(\.hex)
      SystemService.handOver(target.path)
    }
    if json {
      return try printJSON(
        Report(
          data_folder: target.path, created_at: backup.createdAt, dry_run: dryRun,
          database_bytes: backup.databaseBytes, blobs: backup.blobs, blob_bytes: backup.blobBytes,
          damaged_blobs: damaged))
    }
    for digest in damaged { Terminal.error.line("damaged and left out: \(digest)") }
    Terminal.output.line(
      "the backup of \(Spelled.time(backup.createdAt)) with \(Spelled.count(backup.blobs)) blobs "
        + (dryRun ? "would be restored to" : "is restored to") + " \(target.path)")
  }
}
