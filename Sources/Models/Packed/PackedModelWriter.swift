import Crypto
import Foundation
import Kernels
import ModelFormats

/// Packs a model into a file, a piece at a time, through a mapping: what is packed lies in the
/// file's pages, which the system can write out and drop, and in no memory beside them.
///
/// Any number of processes may write the same file: each writes one of its own beside it, which it
/// holds locked, and the last to finish gives its the name. What a killed one left is not locked,
/// and the next writer removes it.
struct PackedModelWriter {
  /// The system did not let the file be written. The model may still be loaded into memory.
  struct Failure: Error {}

  /// Between the file's name and what tells writers apart.
  static let temporaryMark = ".new."
  /// Packed bytes that may be mapped before they are given back.
  private static let residentBytes = 16 << 20

  private let place: PackedModelPlace
  private let loader: WeightLoader
  private let plan: PackedModelHeader
  private let requirements: WeightRequirements

  /// - Throws: `FormatError` for a tensor that is missing or cannot be computed with.
  init(
    _ place: PackedModelPlace, _ requirements: WeightRequirements, _ loader: WeightLoader
  ) throws {
    self.place = place
    self.loader = loader
    self.requirements = requirements
    plan = try PackedModelFile.plan(place.key, requirements, loader, type: loader.panelType)
  }

  /// Writes the file and gives it its name.
  ///
  /// - Throws: `Failure`, and what is wrong with the source.
  func write() throws {
    Self.removeAbandoned(in: folder, of: (place.path as NSString).lastPathComponent)
    let (file, temporary) = try create()
    defer { close(file) }
    do {
      try fill(file)
      guard fsync(file) == 0 else { throw Failure() }
      // What was written through a mapping lies in small pages of the cache; it is read back in
      // large ones where there are such.
      posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED)
      guard rename(temporary, place.path) == 0 else { throw Failure() }
    } catch {
      unlink(temporary)
      throw error
    }
    try synchronizeFolder()
  }

  private var folder: String {
    let folder = (place.path as NSString).deletingLastPathComponent
    return folder.isEmpty ? "." : folder
  }

  /// A locked file of its own, beside the one to be written.
  private func create() throws -> (file: Int32, path: String) {
    while true {
      var template = Array((place.path + Self.temporaryMark + "XXXXXX").utf8CString)
      let file = mkstemp(&template)
      guard file >= 0 else { throw Failure() }
      var status = stat()
      guard fcntl(file, F_SETFD, FD_CLOEXEC) == 0, flock(file, LOCK_EX) == 0,
        fstat(file, &status) == 0
      else {
        close(file)
        throw Failure()
      }
      // Else somebody thought it abandoned before it was locked.
      if status.st_nlink > 0 {
        let path = template.dropLast().map { UInt8(bitPattern: $0) }
        return (file, String(decoding: path, as: UTF8.self))
      }
      close(file)
    }
  }

  /// Removes what killed processes left in a folder.
  ///
  /// - Parameter name: of the file that they were to write; nil for any.
  static func removeAbandoned(in folder: String, of name: String? = nil) {
    for found in (try? FileManager.default.contentsOfDirectory(atPath: folder)) ?? []
    where name.map({ found.hasPrefix($0 + temporaryMark) }) ?? found.contains(temporaryMark) {
      let file = open("\(folder)/\(found)", O_RDWR | O_CLOEXEC)
      guard file >= 0 else { continue }
      if flock(file, LOCK_EX | LOCK_NB) == 0 { unlink("\(folder)/\(found)") }
      close(file)
    }
  }

  private func fill(_ file: Int32) throws {
    // Without blocks of its own, a page that the disk has no room for would end the program.
    guard posix_fallocate(file, 0, off_t(plan.fileBytes)) == 0 else { throw Failure() }
    guard
      let base = mmap(nil, plan.fileBytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0),
      base != MAP_FAILED
    else { throw Failure() }
    defer { munmap(base, plan.fileBytes) }
    var header = plan
    for (index, range) in plan.ranges.enumerated() {
      let target = UnsafeMutableRawBufferPointer(start: base + range.lowerBound, count: range.count)
      try pack(index, into: target)
      header.tensors[index].sha256 = hash(target)
    }
    UnsafeMutableRawBufferPointer(start: base, count: header.headerBytes)
      .copyBytes(from: header.encoded())
  }

  /// The tensor at `index` of the plan: matrices, then vectors.
  private func pack(_ index: Int, into target: UnsafeMutableRawBufferPointer) throws {
    guard index < requirements.matrices.count else {
      let vector = requirements.vectors[index - requirements.matrices.count]
      return try loader.vector(vector).withUnsafeBytes { target.copyMemory(from: $0) }
    }
    let (matrix, type) = (requirements.matrices[index], plan.tensors[index].type)
    let rowBytes = target.count / matrix.outputs
    var released = 0
    let builder = try loader.pack(matrix, as: type, into: target) { rows in
      guard (rows - released) * rowBytes >= Self.residentBytes else { return }
      released = rows
      giveBack(target)
    }
    guard builder.rowsAppended == builder.outputs else {
      throw FormatError(
        .truncated, file: loader.source.name,
        reason: "tensor \(quoted(matrix.name)) has \(builder.rowsAppended) rows")
    }
  }

  private func hash(_ bytes: UnsafeMutableRawBufferPointer) -> [UInt8] {
    var hash = SHA256()
    for start in stride(from: 0, to: bytes.count, by: Self.residentBytes) {
      let part = UnsafeMutableRawBufferPointer(
        rebasing: bytes[start..<min(bytes.count, start + Self.residentBytes)])
      hash.update(bufferPointer: UnsafeRawBufferPointer(part))
      giveBack(part)
    }
    return Array(hash.finalize())
  }

  /// Takes whole pages out of this process; the file keeps what was written to them.
  private func giveBack(_ bytes: UnsafeMutableRawBufferPointer) {
    let page = UInt(sysconf(Int32(_SC_PAGESIZE)))
    guard let base = bytes.baseAddress else { return }
    let first = (UInt(bitPattern: base) + page - 1) / page * page
    let end = (UInt(bitPattern: base) + UInt(bytes.count)) / page * page
    guard first < end else { return }
    madvise(UnsafeMutableRawPointer(bitPattern: first), Int(end - first), MADV_DONTNEED)
  }

  private func synchronizeFolder() throws {
    let file = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)
    guard file >= 0 else { throw Failure() }
    defer { close(file) }
    guard fsync(file) == 0 else { throw Failure() }
  }
}
