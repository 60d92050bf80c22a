import Foundation

/// Errors of the system's libraries in a person's words.
enum ErrorWords {
  /// What is shown of an error: a sentence with the file for those of Foundation, which print all
  /// they hold; others as they are.
  static func plain(_ error: any Error) -> any Error {
    guard error is CocoaError || error is POSIXError || type(of: error) == NSError.self else {
      return error
    }
    let (details, cause) = (error as NSError, cause(error as NSError))
    let file =
      details.userInfo[NSFilePathErrorKey] as? String
      ?? (details.userInfo[NSURLErrorKey] as? URL)?.path
    let reason = cause.map { String(cString: strerror($0)) } ?? details.localizedDescription
    return CommandError(file.map { "\($0): \(reason)" } ?? reason)
  }

  /// The system's error number at the bottom of an error.
  private static func cause(_ error: NSError) -> Int32? {
    if error.domain == NSPOSIXErrorDomain { return Int32(exactly: error.code) }
    if let underlying = error.userInfo[NSUnderlyingErrorKey] as? any Error {
      return cause(underlying as NSError)
    }
    guard error.domain == NSCocoaErrorDomain else { return nil }
    return switch CocoaError.Code(rawValue: error.code) {
    case .fileNoSuchFile, .fileReadNoSuchFile: ENOENT
    case .fileReadNoPermission, .fileWriteNoPermission: EACCES
    case .fileWriteFileExists: EEXIST
    case .fileWriteOutOfSpace: ENOSPC
    case .fileWriteVolumeReadOnly: EROFS
    default: nil
    }
  }
}
